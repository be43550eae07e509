/** `cnn classify <picture...>`: from a file on disk to named classes with their probabilities. */
import { readFile } from 'node:fs/promises';
import { type BackendName, compile } from '@cnn/core';
import { decodeImage, transform } from '@cnn/image';
import { type ModelRequest, openModel } from '../openModel.js';
import { parseCount } from '../options.js';
import { noteFallback, type Terminal, topLines } from '../terminal.js';

/** Options of the command. */
export interface ClassifyOptions extends ModelRequest {
  readonly top: string;
  readonly backend: BackendName;
  readonly threads?: string;
  readonly json?: boolean;
}

/** One class of the answer. */
export interface Ranked {
  readonly index: number;
  readonly label: string;
  readonly probability: number;
}

/** The `top` classes of a row of logits, by softmax. */
export function rank(logits: Float32Array, labels: readonly string[], top: number): readonly Ranked[] {
  const max = logits.reduce((largest, value) => Math.max(largest, value), -Infinity);
  const weights = Array.from(logits, (value) => Math.exp(value - max));
  const sum = weights.reduce((total, value) => total + value, 0);
  return weights
    .map((value, index) => ({ index, label: labels[index] ?? `class ${index}`, probability: value / sum }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}

/** Classifies every picture; one that cannot be read is named, and the others go on. Gives the exit code. */
export async function classify(
  pictures: readonly string[],
  options: ClassifyOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<number> {
  const top = parseCount(options.top);
  const { entry, model, weights, preset, labels } = await openModel(options, terminal, signal);
  await using session = await compile(model, {
    weights,
    input: [1, preset.mean.length, preset.crop, preset.crop],
    backend: options.backend,
    name: entry.name,
    ...(options.threads ? { threads: parseCount(options.threads) } : {}),
    ...(signal ? { signal } : {}),
  });
  noteFallback(terminal, options.backend, session);
  const results: { file: string; top?: readonly Ranked[]; error?: string; milliseconds?: number }[] = [];
  for (const file of pictures) {
    try {
      const image = await decodeImage(await readFile(file));
      const x = transform(image, preset);
      const started = performance.now();
      const { data } = await session.run(x, signal ? { signal } : {});
      results.push({ file, top: rank(data, labels, top), milliseconds: performance.now() - started });
    } catch (error) {
      signal?.throwIfAborted();
      results.push({ file, error: error instanceof Error ? error.message : String(error) });
    }
    const result = results.at(-1)!;
    if (options.json) continue;
    if (result.top) terminal.print(`${file}\n${topLines(result.top, terminal.colours).join('\n')}`);
    else terminal.note(`${file}: ${result.error}`);
  }
  if (options.json)
    terminal.print(
      JSON.stringify(
        { model: entry.name, backend: session.backend, threads: session.threads, results },
        null,
        2,
      ),
    );
  return results.some(({ error }) => error) ? 1 : 0;
}
