/** `cnn classify <picture...>`: names the classes of pictures, with probabilities. */
import { compile, type ModelEntry } from '@cnn/core';
import { transform } from '@cnn/image';
import { type Ranked, rank } from '../classes.js';
import { readPicture } from '../files.js';
import { MissingPictures, type ModelRequest, openModel, type Reading } from '../openModel.js';
import type { PlaceOptions } from '../options.js';
import { labelsOf, presetWith, type ReadingOptions, readLabels } from '../reading.js';
import { noteFallback, printable, printJson, type Terminal, topLines } from '../terminal.js';
import { requireSize } from '../training/settings.js';

/** Options of the command. */
export interface ClassifyOptions extends ModelRequest, PlaceOptions, ReadingOptions {
  readonly top: number;
  readonly json?: boolean;
}

/**
 * Classifies pictures. Notes unreadable ones, and continues with the others.
 * @returns the exit code: 1 if a picture could not be read, else 0.
 */
export async function classify(
  pictures: readonly string[],
  options: ClassifyOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<number> {
  const { top, backend, threads } = options;
  const check = async (_: ModelEntry, { preset }: Reading): Promise<void> => {
    presetWith(preset, options);
    if (options.labels !== undefined) await readLabels(options.labels);
  };
  const opened = await openModel({ ...options, pictures, check }, terminal, signal).catch(
    (error: unknown) => {
      if (!(options.json && error instanceof MissingPictures)) throw error;
      return error;
    },
  );
  if (opened instanceof MissingPictures) {
    // The result states the reason for each picture.
    const { model, faults } = opened;
    printJson(terminal, { model, results: faults });
    return 1;
  }
  const { entry, model, weights } = opened;
  const preset = presetWith(opened.preset, options);
  requireSize(entry.name, model, preset, opened.preset.crop, '--crop');
  const input = [1, preset.mean.length, preset.crop, preset.crop];
  await using session = await compile(model, { weights, input, backend, threads, name: entry.name, signal });
  const outputs = session.output.at(-1)!;
  const { names: labels } = await labelsOf(options.labels, opened.labels, outputs, entry.input);
  noteFallback(terminal, backend, session);
  const results: { file: string; top?: readonly Ranked[]; error?: string; milliseconds?: number }[] = [];
  for (const file of pictures) {
    try {
      const x = transform(await readPicture(file, signal), preset);
      const started = performance.now();
      const { data } = await session.run(x, { signal });
      results.push({ file, top: rank(data, labels, top), milliseconds: performance.now() - started });
    } catch (error) {
      signal?.throwIfAborted();
      results.push({ file, error: error instanceof Error ? error.message : String(error) });
    }
    const result = results.at(-1)!;
    const shown = printable(file);
    if (result.error) terminal.note(`${shown}: ${printable(result.error)}`);
    else if (!options.json) terminal.print(`${shown}\n${topLines(result.top!, terminal.colours).join('\n')}`);
  }
  if (options.json)
    printJson(terminal, {
      model: entry.name,
      backend: session.backend,
      threads: session.threads,
      results,
    });
  return results.some(({ error }) => error) ? 1 : 0;
}
