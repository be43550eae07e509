/** What the commands print with: tables, bars, pictures in characters, and progress that stays off when piped. */
import colours from 'picocolors';

/** The functions that colour a text, or leave it as it is. */
export type Colours = ReturnType<typeof colours.createColors>;

/** Where a command writes. Tests give their own. */
export interface Terminal {
  /** A line of the result. */
  print(line: string): void;
  /** A line about the work: to the standard error, so that results can be piped. */
  note(line: string): void;
  /** Whether lines of progress are seen. */
  readonly live: boolean;
  /**
   * A line that overwrites itself, shown on a terminal only; an empty one takes it away.
   * @param more - what follows it, each part as far as there is room for it.
   */
  progress(line: string, ...more: readonly string[]): void;
  /** Colours for `print`, where they are wanted. */
  readonly colours: Colours;
}

/** The parts of the process that matter to a terminal. */
export interface Streams {
  readonly stdout: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;
  readonly stderr: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * A terminal on the streams of a process. Colours are off when the result is piped, on a terminal that has
 * none, and with `NO_COLOR` (https://no-color.org); `FORCE_COLOR` turns them on.
 */
export function terminalOn({ stdout, stderr, env }: Streams): Terminal {
  const coloured = !env.NO_COLOR && (env.FORCE_COLOR ? true : stdout.isTTY && env.TERM !== 'dumb');
  let shown = false;
  const progress = (line: string, ...more: readonly string[]): void => {
    if (!stderr.isTTY || (!line && !shown)) return;
    // A line that wraps could not be taken back.
    const room = (stderr.columns || 80) - 1;
    const fitting = more.reduce(
      (all, part) => (all.length + 2 + part.length <= room ? `${all}  ${part}` : all),
      line.slice(0, room),
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

/** Prints a result for programs. */
export const printJson = (terminal: Terminal, value: unknown): void =>
  terminal.print(JSON.stringify(value, null, 2));

/** `1 thread`, `2 threads`. */
export const threadsOf = (threads: number): string => `${threads} ${threads === 1 ? 'thread' : 'threads'}`;

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
  return ('█'.repeat(eighths >> 3) + (eighths % 8 ? ' ▏▎▍▌▋▊▉'[eighths % 8]! : '')).padEnd(width);
}

/** How far something has come, in steps or bytes; `total` where it is known. */
export interface Step {
  readonly loaded: number;
  readonly total: number | undefined;
}

/** Millions of bytes, for {@link progressOf}. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Shows progress once a second has passed, ten times a second: short work stays silent. */
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
 * Rows of a grey picture (values from 0 to 1), two rows of pixels in a line of characters: half blocks in 24
 * shades of grey where there are colours, characters of growing darkness where there are none.
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

/** The classes with the highest probability, a line with a bar for each. */
export const topLines = (
  top: readonly { readonly label: string; readonly probability: number }[],
  { cyan }: Colours,
): string[] =>
  top.map(
    ({ label, probability }) =>
      `  ${cyan(bar(probability))} ${(100 * probability).toFixed(2).padStart(6)} %  ${label}`,
  );

/** Notes why it runs on less than was asked for; that a terminal has no GPU is no news to whoever asked for nothing. */
export function noteFallback(
  terminal: Terminal,
  asked: string,
  { backend, fallbackReason }: { readonly backend: string; readonly fallbackReason: string | undefined },
): void {
  if (fallbackReason && !(asked === 'auto' && backend === 'wasm')) terminal.note(fallbackReason);
}
