/** `cnn evaluate --weights <file> --data <folder>`: accuracy and confusion matrix of a model. */
import { type Dataset, evaluate as evaluateModel } from '@cnn/train';
import { UsageError } from '../errors.js';
import { writeResult } from '../files.js';
import { type ModelRequest, openModel } from '../openModel.js';
import type { PlaceOptions } from '../options.js';
import { noteFallback, printable, printJson, type Terminal, threadsOf } from '../terminal.js';
import { confusionText } from '../training/confusion.js';
import { openData } from '../training/data.js';
import { preparationOf } from '../training/recipes.js';
import { evaluationLine, reportPage } from '../training/report.js';
import { presetOf, requireSize } from '../training/settings.js';

/** Options of the command. */
export interface EvaluateOptions extends ModelRequest, PlaceOptions {
  readonly data: string;
  readonly batch: number;
  readonly size?: number;
  readonly tenCrop?: boolean;
  readonly onBadImage: 'skip' | 'fail';
  readonly html?: string;
  readonly json?: boolean;
}

/** Evaluates a model on the test pictures of a folder, or on all pictures if it has no test part. */
export async function evaluate(
  name: string | undefined,
  options: EvaluateOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const opened = await openModel(
    { ...options, model: name, typed: 'cnn evaluate <model>' },
    terminal,
    signal,
  );
  const { entry, model, weights } = opened;
  const preset = presetOf(opened.preset, options.size ?? opened.preset.crop);
  requireSize(entry.name, model, preset, opened.preset.crop);
  const { onBadImage, backend, threads } = options;
  const data = await openData(
    { data: options.data, preset, onBadImage, validation: 0, seed: 0 },
    terminal,
    signal,
  );
  const pictures = data.test ?? data.train;
  const { dataset, classes } = labelledFor(opened.labels, data.classes, pictures);
  const { prepare, normalise, views } = preparationOf(options.tenCrop ? 'alexnet' : 'none', preset, pictures);
  const perPicture = views?.count ?? 1;
  const batch = Math.min(options.batch, pictures.size) * perPicture;
  const started = performance.now();
  const result = await evaluateModel({
    model,
    weights,
    dataset,
    prepare,
    normalise,
    views,
    backend,
    threads,
    signal,
    input: [batch, preset.mean.length, preset.crop, preset.crop],
  });
  const seconds = (performance.now() - started) / 1000;
  if (!Number.isFinite(result.loss))
    throw new Error(
      `The outputs of ${entry.name} are not numbers (the loss is ${result.loss}): its weights are damaged, or need another preparation of pictures.`,
    );
  noteFallback(terminal, backend, result);
  const facts = { model: entry.name, weights: options.weights ?? 'default', data: options.data };
  const place = { backend: result.backend, threads: result.threads };
  if (options.html)
    await writeResult(
      options.html,
      reportPage({
        title: `${entry.name} on ${data.kind}`,
        facts: {
          ...facts,
          'pictures left out': data.skipped.length,
          'back end': result.backend,
          threads: result.threads,
        },
        history: [],
        evaluation: result,
        labels: classes,
      }),
    );
  if (options.json)
    return printJson(terminal, {
      ...facts,
      ...place,
      count: result.count,
      accuracy: result.accuracy,
      loss: result.loss,
      seconds,
      topK: Object.fromEntries(result.topK),
      classes,
      confusion: result.confusion,
      skipped: data.skipped,
    });
  terminal.print(
    `${entry.name}, on ${result.backend} (${threadsOf(result.threads)}): ${evaluationLine(result)}.`,
  );
  terminal.print(`\n${confusionText(result.confusion, classes)}`);
  if (options.html) terminal.print(`\nThe report is ${options.html}.`);
}

/**
 * Converts the labels of a dataset to the model's, by the names of the classes, and gives the names of the
 * model's outputs. If these are unknown, the labels are unchanged.
 */
function labelledFor(
  labels: readonly string[],
  classes: readonly string[],
  dataset: Dataset,
): { readonly dataset: Dataset; readonly classes: readonly string[] } {
  if (labels.length === 0) return { dataset, classes };
  const places = classes.map((name) => labels.indexOf(name));
  const unknown = classes.filter((_, index) => places[index] === -1);
  if (unknown.length > 0)
    throw new UsageError(
      `The model has no class called ${unknown.slice(0, 5).map(printable).join(', ')}${unknown.length > 5 ? ', ...' : ''}; it has ${labels.slice(0, 10).map(printable).join(', ')}${labels.length > 10 ? ', ...' : ''}. Name the folders after its classes.`,
    );
  if (places.every((place, index) => place === index)) return { dataset, classes: labels };
  const relabelled: Dataset = {
    ...dataset,
    async at(index) {
      const example = await dataset.at(index);
      return { ...example, label: places[example.label]! };
    },
  };
  return { dataset: relabelled, classes: labels };
}
