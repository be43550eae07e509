/** What the commands print with: tables, bars, pictures in characters, and progress that stays off when piped. */
import type { Progress } from '@cnn/core';
import colours from 'picocolors';

/** Where a command writes. Tests give their own. */
export interface Terminal {
  /** A line of the result. */
  print(line: string): void;
  /** A line about the work: to the standard error, so that results can be piped. */
  note(line: string): void;
  /** A line that overwrites itself, shown on a terminal only. */
  progress(line: string): void;
}

/** The terminal of the process. */
export const processTerminal: Terminal = {
  print: (line) => process.stdout.write(`${line}\n`),
  note: (line) => process.stderr.write(`${line}\n`),
  progress: (line) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
  },
};

/** Columns as wide as their widest cell; those named in `right` are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A bar of `width` characters, filled to a share from 0 to 1 in eighths. */
export function bar(share: number, width = 24): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const full = '█'.repeat(eighths >> 3);
  const rest = eighths % 8 ? ' ▏▎▍▌▋▊▉'[eighths % 8]! : '';
  return colours.cyan((full + rest).padEnd(width));
}

/** Shows progress once a second has passed: short work stays silent. */
export function progressOf(terminal: Terminal, what: string): (progress: Progress) => void {
  const started = performance.now();
  let shown = 0;
  return ({ loaded, total }) => {
    const now = performance.now();
    const done = loaded === total;
    if (now - started < 1000 || (now - shown < 100 && !done)) return;
    shown = now;
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
    terminal.progress(
      done
        ? ''
        : total
          ? `${what} ${bar(loaded / total)} ${megabytes(loaded)} of ${megabytes(total)} MB`
          : `${what} ${megabytes(loaded)} MB`,
    );
  };
}

/** A grey picture in characters, two rows of pixels a line. */
export function greyPicture(pixels: Float32Array, width: number): string {
  const shades = ' .:-=+*#%@';
  const height = pixels.length / width;
  const lines: string[] = [];
  for (let row = 0; row + 1 < height; row += 2) {
    let line = '';
    for (let column = 0; column < width; column++) {
      const mean = (pixels[row * width + column]! + pixels[(row + 1) * width + column]!) / 2;
      line += shades[Math.min(shades.length - 1, Math.floor(mean * shades.length))];
    }
    lines.push(line);
  }
  return lines.join('\n');
}

/** The classes with the highest probability, as lines with bars. */
export const topLines = (top: readonly { readonly label: string; readonly probability: number }[]): string =>
  top
    .map(
      ({ label, probability }) =>
        `  ${bar(probability)} ${(100 * probability).toFixed(2).padStart(6)} %  ${label}`,
    )
    .join('\n');
