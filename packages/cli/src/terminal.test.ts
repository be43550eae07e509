/** Tests results, notes and progress on a terminal, in a pipe, and without colours. */
import { describe, expect, test } from 'vitest';
import { greyPicture, progressOf, terminalOn } from './terminal.js';

function streams({ isTTY = true, columns = 20, env = {} as Record<string, string> } = {}) {
  const [out, notes]: [string[], string[]] = [[], []];
  const into = (lines: string[]) => (text: unknown) => lines.push(String(text)) > 0;
  const terminal = terminalOn({
    stdout: { write: into(out), isTTY },
    stderr: { write: into(notes), isTTY, columns },
    env,
  });
  return { terminal, out, notes };
}

test.each([
  [{}, true],
  [{ isTTY: false }, false],
  [{ env: { NO_COLOR: '1' } }, false],
  [{ env: { TERM: 'dumb' } }, false],
  [{ isTTY: false, env: { FORCE_COLOR: '1' } }, true],
  [{ env: { NO_COLOR: '1', FORCE_COLOR: '1' } }, false],
])('%j has colours: %s', (options, expected) => {
  expect(streams(options).terminal.colours.isColorSupported).toBe(expected);
});

test('a result first removes the progress line, which is cut to the width', () => {
  const { terminal, out, notes } = streams();
  terminal.progress('x'.repeat(50));
  terminal.print('done');
  terminal.print('more');
  expect(notes).toEqual([`\r\x1b[K${'x'.repeat(19)}`, '\r\x1b[K']);
  expect(out).toEqual(['done\n', 'more\n']);
});

test('appended parts of a progress line are shown whole or not at all', () => {
  const { terminal, notes } = streams();
  terminal.progress('epoch 1', 'loss 2.5', 'accuracy 10 %', 'a');
  expect(notes).toEqual(['\r\x1b[Kepoch 1  loss 2.5']);
  terminal.progress('epoch 1', 'loss 2.51234', '9 s');
  expect(notes[1]).toBe('\r\x1b[Kepoch 1  9 s');
});

test('no progress is written into a pipe', () => {
  const { terminal, notes } = streams({ isTTY: false });
  terminal.progress('half');
  terminal.note('a note');
  expect(notes).toEqual(['a note\n']);
});

test('progress is silent for a second, then shown ten times a second, and removed at the end', () => {
  const lines: string[] = [];
  let time = 0;
  const { terminal } = streams();
  const show = progressOf({ ...terminal, progress: (line) => lines.push(line) }, 'files', String, () => time);
  for (const now of [500, 1000, 1050, 1100]) {
    time = now;
    show({ loaded: now / 100, total: 20 });
  }
  show({ loaded: 20, total: 20 });
  expect(lines.map((line) => line.replace(/[^\w ]/g, '').replace(/ +/g, ' '))).toEqual([
    'files 10 of 20',
    'files 11 of 20',
    '',
  ]);
});

describe('a grey picture', () => {
  const pixels = Float32Array.of(0, 1, 1, 1);
  test('is letters without colours', () => {
    const { colours } = streams({ isTTY: false }).terminal;
    expect(greyPicture(pixels, 2, colours)).toEqual(['+@']);
  });
  test('is half blocks with colours, black to white', () => {
    const { colours } = streams().terminal;
    expect(greyPicture(pixels, 2, colours)).toEqual([
      '\x1b[38;5;232;48;5;255m▀\x1b[38;5;255;48;5;255m▀\x1b[0m',
    ]);
  });
});
