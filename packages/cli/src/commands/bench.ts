/** `cnn bench <model>`: times a model and shows where the time goes, layer by layer. */
import { compile, initialise, type Profile, sizeOf } from '@cnn/core';
import { requireResultPaths, writeResult, writtenTo } from '../files.js';
import { escaped, page, row } from '../html.js';
import { buildModel, parseModelOptions } from '../modelOptions.js';
import type { PlaceOptions } from '../options.js';
import { findModel } from '../registry.js';
import { noteFallback, printJson, type Terminal, table, threadsOf } from '../terminal.js';

/** Options of the command. */
export interface BenchOptions extends PlaceOptions {
  readonly runs: number;
  readonly input?: readonly number[];
  readonly option: readonly string[];
  readonly html?: string;
  readonly json?: boolean;
}

/** Times of runs, in milliseconds. */
interface Times {
  readonly runs: number;
  readonly minimum: number;
  readonly median: number;
}

/** Gives the median; of an even number of values the upper one in the middle. */
const medianOf = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Times runs of a model with random weights after a warm-up run, then as many runs step by step. */
export async function bench(
  name: string,
  options: BenchOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { backend, threads, runs, html } = options;
  await requireResultPaths({ '--html': html });
  const { entry } = await findModel(name);
  const { input = entry.input } = options;
  const model = buildModel(entry, parseModelOptions(options.option));
  const weights = initialise(model, { seed: 1 });
  await using session = await compile(model, { weights, input, backend, threads, name, signal });
  noteFallback(terminal, backend, session);
  const x = new Float32Array(sizeOf(input)).fill(0.5);
  const milliseconds: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const started = performance.now();
    await session.run(x, { signal });
    if (run > 0) milliseconds.push(performance.now() - started);
    terminal.progress(`run ${run} of ${runs}`);
  }
  const times = { runs, minimum: Math.min(...milliseconds), median: medianOf(milliseconds) };
  const profiles: Profile[] = [];
  for (let run = 1; run <= runs; run++) {
    signal?.throwIfAborted();
    profiles.push(await session.profile(x));
    terminal.progress(`run ${run} of ${runs}, step by step`);
  }
  terminal.progress('');
  const [{ steps, notes, ...place }] = profiles as [Profile];
  const profile = {
    ...place,
    // `noteFallback` has already reported the reason for a fallback.
    notes: notes.filter((note) => note !== session.fallbackReason),
    steps: steps.map((step, index) => ({
      ...step,
      milliseconds: medianOf(profiles.map((each) => each.steps[index]!.milliseconds)),
    })),
  };
  const replaced = html ? await writeResult(html, benchPage(name, input, profile, times)) : false;
  if (options.json) return printJson(terminal, { model: name, input, ...times, profile });
  terminal.print(table([columns, ...stepsOf(profile)], numeric));
  terminal.print(`\n${name}, ${sentence(input, profile, times)}`);
  if (html) terminal.print(`The page is ${writtenTo(html, replaced)}.`);
}

const columns = ['module', 'op', 'algorithm', 'ms', 'GFLOP/s', 'share'] as const;
/** Indices of the columns with numbers. */
const numeric = [3, 4, 5];

/** Gives the rows of the table. */
function stepsOf({ steps }: Profile): string[][] {
  const total = steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return steps.map(({ path, op, algorithm, milliseconds, flops }) => [
    path || '-',
    op,
    algorithm,
    milliseconds.toFixed(3),
    flops ? (flops / milliseconds / 1e6).toFixed(1) : '',
    `${((100 * milliseconds) / total).toFixed(1)} %`,
  ]);
}

/** Gives the result in a sentence. */
function sentence(
  input: readonly number[],
  { backend, threads, notes }: Profile,
  { minimum, median, runs }: Times,
): string {
  const noted = notes.length > 0 ? `; ${notes.join(', ')}` : '';
  return `${input.join('x')}, on ${backend} (${threadsOf(threads)}${noted}): minimum ${minimum.toFixed(2)} ms, median ${median.toFixed(2)} ms of ${runs} ${runs === 1 ? 'run' : 'runs'}.`;
}

/** Gives the HTML page with a bar for each step. */
function benchPage(name: string, input: readonly number[], profile: Profile, times: Times): string {
  const longest = Math.max(...profile.steps.map(({ milliseconds }) => milliseconds));
  const rows = stepsOf(profile).map((cells, index) => {
    const width = (100 * profile.steps[index]!.milliseconds) / longest;
    return row('td', cells, numeric).replace(
      '</tr>',
      `<td class="bar"><i style="width:${width.toFixed(1)}%"></i></td></tr>`,
    );
  });
  return page(
    `cnn bench ${name}`,
    `<p>${escaped(sentence(input, profile, times))}</p>\n<table>${row('th', columns, numeric)}\n${rows.join('\n')}</table>`,
    '.bar { width: 40vw; min-width: 8em; } i { display: block; height: 12px; min-width: 1px; background: var(--bar); }',
  );
}
