import { Draw } from './src/draw.js';
import { judge } from './src/files/judge.js';
import { legacy, pickle } from './src/files/pickle.js';
import { torchZip } from './src/files/zip.js';

const us = () => {
  const c = process.cpuUsage();
  return c.user + c.system;
};
for (const f of [legacy, pickle, torchZip]) {
  let craft = 0,
    jd = 0;
  const n = 4000;
  for (let s = 0; s < n; s++) {
    const a = us();
    const file = f.craft(new Draw(s));
    const b = us();
    await judge(f, file);
    const c = us();
    craft += b - a;
    jd += c - b;
  }
  console.log(f.name.padEnd(22), 'craft', (craft / n) | 0, 'judge', (jd / n) | 0);
}
