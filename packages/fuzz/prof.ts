import { Draw } from './src/draw.js';
import { jpeg } from './src/files/jpeg.js';
import { judge } from './src/files/judge.js';
import { legacy, pickle } from './src/files/pickle.js';
import { png } from './src/files/png.js';

const us = () => {
  const c = process.cpuUsage();
  return c.user + c.system;
};
for (let k = 0; k < 2; k++)
  for (const f of [png, jpeg, pickle, legacy]) {
    let craft = 0,
      jd = 0,
      bytes = 0;
    const slow: [number, number, number, number][] = [];
    const n = 3000;
    for (let s = 0; s < n; s++) {
      const a = us();
      const file = f.craft(new Draw(s + 1e6 * k));
      const b = us();
      await judge(f, file);
      const c = us();
      craft += b - a;
      jd += c - b;
      bytes += file.bytes.length;
      slow.push([c - a, b - a, s, file.bytes.length]);
    }
    slow.sort((a, b) => b[0] - a[0]);
    console.log(
      f.name,
      'craft us',
      (craft / n) | 0,
      'judge us',
      (jd / n) | 0,
      'bytes',
      (bytes / n) | 0,
      'median',
      slow[n >> 1],
      'top20 share',
      slow.slice(0, 20).reduce((s, x) => s + x[0], 0) / (craft + jd),
      slow.slice(0, 5).join(' | '),
    );
  }
