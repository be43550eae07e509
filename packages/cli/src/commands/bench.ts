/** `cnn bench <model>`: times a model and shows where the time goes, layer by layer. */
import { writeFile } from 'node:fs/promises';
import { type BackendName, compile, initialise, type Profile } from '@cnn/core';
import { escaped } from '../html.js';
import { buildModel, parseCount, parseModelOptions } from '../options.js';
import { findModel } from '../registry.js';
import { type Terminal, table } from '../terminal.js';

/** Options of the command. */
export interface BenchOptions {
  readonly runs: string;
  readonly option: readonly string[];
  readonly backend: BackendName;
  readonly threads?: string;
  readonly html?: string;
  readonly json?: boolean;
}

/** Times warm runs and one profiled run with random weights. */
export async function bench(
  name: string,
  options: BenchOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { entry } = await findModel(name);
  const model = buildModel(entry, parseModelOptions(options.option));
  await using session = await compile(model, {
    weights: initialise(model, { seed: 1 }),
    input: entry.input,
    backend: options.backend,
    ...(options.threads ? { threads: parseCount(options.threads) } : {}),
  });
  const x = new Float32Array(entry.input.reduce((size, extent) => size * extent, 1)).fill(0.5);
  const times: number[] = [];
  const runs = parseCount(options.runs);
  for (let run = 0; run <= runs; run++) {
    const started = performance.now();
    await session.run(x, signal ? { signal } : {});
    if (run > 0) times.push(performance.now() - started);
    terminal.progress(`run ${run} of ${runs}`);
  }
  terminal.progress('');
  times.sort((a, b) => a - b);
  const [minimum, median] = [times[0]!, times[times.length >> 1]!];
  const profile = await session.profile(x);
  if (options.html) await writeFile(options.html, page(entry.name, profile, minimum, median));
  if (options.json)
    return terminal.print(JSON.stringify({ model: name, minimum, median, runs, profile }, null, 2));
  const total = profile.steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  terminal.print(
    table(
      [
        ['module', 'op', 'algorithm', 'ms', 'GFLOP/s', 'share'],
        ...profile.steps.map(({ path, op, algorithm, milliseconds, flops }) => [
          path || '-',
          op,
          algorithm,
          milliseconds.toFixed(3),
          flops ? (flops / milliseconds / 1e6).toFixed(1) : '',
          `${((100 * milliseconds) / total).toFixed(1)} %`,
        ]),
      ],
      [3, 4, 5],
    ),
  );
  terminal.print(
    `\n${name} on ${profile.backend} with ${profile.threads} threads${profile.notes.length ? ` (${profile.notes.join(', ')})` : ''}: minimum ${minimum.toFixed(2)} ms, median ${median.toFixed(2)} ms of ${runs} runs.`,
  );
}

/** A page of its own with a bar for each step. */
function page(name: string, { backend, threads, steps }: Profile, minimum: number, median: number): string {
  const longest = Math.max(...steps.map(({ milliseconds }) => milliseconds));
  const rows = steps
    .map(
      ({ path, op, algorithm, milliseconds }) =>
        `<tr><td>${escaped(path)}</td><td>${escaped(op)}</td><td>${escaped(algorithm)}</td><td class="n">${milliseconds.toFixed(3)}</td><td><i style="width:${((100 * milliseconds) / longest).toFixed(1)}%"></i></td></tr>`,
    )
    .join('\n');
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(name)}</title>
<style>body{font:14px system-ui;margin:2em;color-scheme:light dark}td{padding:1px 8px;white-space:nowrap}.n{text-align:right}td:last-child{width:40vw}i{display:block;height:12px;background:#2a9d8f}</style>
<h1>${escaped(name)}</h1><p>${escaped(backend)}, ${threads} threads: minimum ${minimum.toFixed(2)} ms, median ${median.toFixed(2)} ms.</p>
<table>${rows}</table></html>\n`;
}
