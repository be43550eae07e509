/** Prints for commands: tables, bars, pictures in characters, and progress on a terminal. */
import { printable } from '@cnn/core/io';
import colours from 'picocolors';

/** Functions that colour a text, or return it unchanged if colours are off. */
export type Colours = ReturnType<typeof colours.createColors>;

/** Output of a command. Tests implement it. */
export interface Terminal {
  /** Prints a line of the result. */
  print(line: string): void;
  /** Prints a line about the work to the standard error, so that results can be piped. */
  note(line: string): void;
  /** True if progress lines are visible. */
  readonly live: boolean;
  /**
   * Shows a progress line, which overwrites the previous one, on a terminal only; an empty line removes it.
   * @param more - parts to append; a part that does not fit the width is left out.
   */
  progress(line: string, ...more: readonly string[]): void;
  /** Colours for `print`. */
  readonly colours: Colours;
}

/** Parts of the process that a terminal needs. */
export interface Streams {
  readonly stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;
  readonly stderr: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Makes a terminal on the streams of a process. Colours are off if the result is piped, on a terminal without
 * colours, and with `NO_COLOR` (https://no-color.org); `FORCE_COLOR` turns them on.
 */
export function terminalOn({ stdout, stderr, env }: Streams): Terminal {
  const coloured = !env.NO_COLOR && (env.FORCE_COLOR ? true : stdout.isTTY && env.TERM !== 'dumb');
  let shown = false;
  const progress = (line: string, ...more: readonly string[]): void => {
    if (!stderr.isTTY || (!line && !shown)) return;
    // A line that wraps cannot be overwritten.
    const width = (stderr.columns || 80) - 1;
    const fitting = more.reduce(
      (all, part) => (all.length + 2 + part.length <= width ? `${all}  ${part}` : all),
      line.slice(0, width),
    );
    stderr.write(`\r\x1b[K${fitting}`);
    shown = line !== '';
  };
  return {
    print(line) {
      progress('');
      stdout.write(`${line}\n`);
    },
    note(line) {
      progress('');
      stderr.write(`${line}\n`);
    },
    live: stderr.isTTY,
    progress,
    colours: colours.createColors(coloured),
  };
}

// The one function that escapes text of files, names of files and names of classes, wherever they are shown.
export { printable };

/** Cuts a text of unknown origin for a message: to 100 characters, with dots for the rest. */
export const shortened = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}...` : text);

/**
 * Makes a terminal that escapes what is left of control characters in the lines that it is given: a name that
 * was not escaped can neither move the cursor nor set the title. Line feeds stay, and colours if they are on.
 */
export function guarded(terminal: Terminal): Terminal {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours start with one.
  const kept = terminal.colours.isColorSupported ? /(\n|\x1b\[[\d;]*m)/ : /(\n)/;
  // Every second part of the split text is one that is kept.
  const safe = (line: string): string =>
    line
      .split(kept)
      .map((part, index) => (index % 2 === 0 ? printable(part) : part))
      .join('');
  return {
    ...terminal,
    print: (line) => terminal.print(safe(line)),
    note: (line) => terminal.note(safe(line)),
    progress: (line, ...more) => terminal.progress(printable(line), ...more.map(printable)),
  };
}

/** Prints a result as JSON. Control characters that JSON allows are escaped too. */
export const printJson = (terminal: Terminal, value: unknown): void =>
  terminal.print(
    JSON.stringify(value, null, 2).replace(/[^\n]/gu, (character) =>
      printable(character) === character
        ? character
        : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  );

/**
 * Formats a number of things: `1 step`, `1,200 steps`.
 * @param one - the word for one of them.
 * @param many - the word for several. Default: with an s.
 */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;

/** Formats a number of threads: `1 thread`, `2 threads`. */
export const threadsOf = (threads: number): string => counted(threads, 'thread');

/**
 * Formats a table; the columns with the indices in `right` are aligned to the right. Control characters are
 * escaped.
 */
export function table(cells: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = cells.map((row) => row.map(printable));
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

/** Gives a bar of `width` characters that is filled to a fraction, in eighths of a character. */
export function bar(share: number, width = 24): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  return ('█'.repeat(eighths >> 3) + (eighths % 8 ? ' ▏▎▍▌▋▊▉'[eighths % 8]! : '')).padEnd(width);
}

/** Progress in steps or bytes; `total` is undefined if unknown. */
export interface Step {
  readonly loaded: number;
  readonly total: number | undefined;
}

/** Formats bytes in millions, for {@link progressOf}. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Makes a function that shows progress ten times a second, after the first second: short work is silent. */
export function progressOf(
  terminal: Terminal,
  what: string,
  amount: (value: number) => string = String,
  now: () => number = () => performance.now(),
): (step: Step) => void {
  const started = now();
  let shown = -Infinity;
  return ({ loaded, total }) => {
    const time = now();
    if (loaded === total) return terminal.progress('');
    if (time - started < 1000 || time - shown < 100) return;
    shown = time;
    terminal.progress(
      total
        ? `${what} ${bar(loaded / total)} ${amount(loaded)} of ${amount(total)}`
        : `${what} ${amount(loaded)}`,
    );
  };
}

/**
 * Draws a grey picture (values from 0 to 1), two rows of pixels per line of text: half blocks in 24 shades of
 * grey with colours, characters of increasing density without.
 */
export function greyPicture(pixels: Float32Array, width: number, { isColorSupported }: Colours): string[] {
  const letters = ' .:-=+*#%@';
  const level = (value: number, count: number): number =>
    Math.min(count - 1, Math.max(0, Math.floor(value * count)));
  const lines: string[] = [];
  for (let start = 0; start + 2 * width <= pixels.length; start += 2 * width) {
    let line = '';
    for (let column = 0; column < width; column++) {
      const [upper, lower] = [pixels[start + column]!, pixels[start + width + column]!];
      line += isColorSupported
        ? `\x1b[38;5;${232 + level(upper, 24)};48;5;${232 + level(lower, 24)}m▀`
        : letters[level((upper + lower) / 2, letters.length)];
    }
    lines.push(isColorSupported ? `${line}\x1b[0m` : line);
  }
  return lines;
}

/** Formats classes with their probabilities, one line with a bar per class. */
export const topLines = (
  top: readonly { readonly label: string; readonly probability: number }[],
  { cyan }: Colours,
): string[] =>
  top.map(
    ({ label, probability }) =>
      `  ${cyan(bar(probability))} ${(100 * probability).toFixed(2).padStart(6)} %  ${printable(label)}`,
  );

/** Notes the reason for a fallback, except from `auto` to wasm, which is what `auto` means without a GPU. */
export function noteFallback(
  terminal: Terminal,
  requested: string,
  { backend, fallbackReason }: { readonly backend: string; readonly fallbackReason: string | undefined },
): void {
  if (fallbackReason && !(requested === 'auto' && backend === 'wasm')) terminal.note(fallbackReason);
}
