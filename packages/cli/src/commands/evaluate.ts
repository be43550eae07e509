/** `cnn evaluate --weights <file> --data <folder>`: accuracy and confusion matrix of a model. */
import { type ModelEntry, trace } from '@cnn/core';
import { imagenetWnids } from '@cnn/image';
import { type Dataset, evaluate as evaluateModel } from '@cnn/train';
import { UsageError } from '../errors.js';
import { requireResultPaths, writeResult, writtenTo } from '../files.js';
import { commandOf } from '../invocation.js';
import { type ModelRequest, openModel, type Reading } from '../openModel.js';
import type { PlaceOptions } from '../options.js';
import { type Labels, labelsOf, outputsOf, presetWith, type ReadingOptions, readLabels } from '../reading.js';
import { counted, noteFallback, printable, printJson, type Terminal, threadsOf } from '../terminal.js';
import { confusionText } from '../training/confusion.js';
import { openEvaluationData, relabelled } from '../training/data.js';
import { preparationOf } from '../training/recipes.js';
import { evaluationLine, reportPage } from '../training/report.js';
import { presetOf, requireSize } from '../training/settings.js';
import { type PartName, requireSource } from '../training/sources.js';

/** Options of the command. */
export interface EvaluateOptions extends ModelRequest, PlaceOptions, ReadingOptions {
  readonly data: string;
  readonly batch: number;
  readonly size?: number;
  readonly part?: PartName;
  readonly tenCrop?: boolean;
  readonly onBadImage: 'skip' | 'fail';
  readonly html?: string;
  readonly json?: boolean;
}

/** Evaluates a model on the test pictures of a folder, else on those for validation, else on all. */
export async function evaluate(
  name: string | undefined,
  options: EvaluateOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { size, crop, html } = options;
  if (size !== undefined && (crop ?? size) !== size)
    throw new UsageError(
      `--size ${size} and --crop ${crop} are two sides of the model's input; give one of them.`,
    );
  const check = async (_: ModelEntry, { preset }: Reading): Promise<void> => {
    presetWith(presetOf(preset, size ?? preset.crop), options);
    if (options.labels !== undefined) await readLabels(options.labels);
    await requireResultPaths({ '--html': html });
    await requireSource(options.data, signal);
  };
  const opened = await openModel(
    { ...options, model: name, typed: commandOf('evaluate <model>'), check },
    terminal,
    signal,
  );
  const { entry, model, weights } = opened;
  const usual = opened.preset.crop;
  const preset = presetWith(presetOf(opened.preset, size ?? usual), options);
  requireSize(entry.name, model, preset, usual, size === undefined ? '--crop' : '--size');
  const { onBadImage, backend, threads } = options;
  const input = [1, preset.mean.length, preset.crop, preset.crop];
  const outputs = trace(model, input, { name: entry.name }).output.shape[1]!;
  const labels = await labelsOf(options.labels, opened.labels, outputs, entry.input);
  const request = { data: options.data, preset, onBadImage, part: options.part };
  const data = await openEvaluationData(request, terminal, signal);
  const pictures = data.dataset;
  const { dataset, classes, note } = labelledFor(labels, data.classes, pictures, outputs);
  if (note) terminal.note(note);
  const { prepare, normalise, views } = preparationOf(options.tenCrop ? 'alexnet' : 'none', preset, data);
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
    input: [batch, ...input.slice(1)],
  });
  const seconds = (performance.now() - started) / 1000;
  if (!Number.isFinite(result.loss))
    throw new Error(
      `The outputs of ${entry.name} are not numbers (the loss is ${result.loss}): its weights are damaged, or need another preparation of pictures.`,
    );
  noteFallback(terminal, backend, result);
  const facts = {
    model: entry.name,
    weights: options.weights ?? 'default',
    data: options.data,
    part: data.part,
  };
  let replaced = false;
  const place = { backend: result.backend, threads: result.threads };
  if (html)
    replaced = await writeResult(
      html,
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
      leftOut: data.leftOut,
    });
  terminal.print(
    `${entry.name}, on ${result.backend} (${threadsOf(result.threads)}): ${evaluationLine(result)}.`,
  );
  terminal.print(`\n${confusionText(result.confusion, classes)}`);
  if (html) terminal.print(`\nThe report is ${writtenTo(html, replaced)}.`);
}

/** Dataset with the labels of a model's outputs. */
interface Labelled {
  readonly dataset: Dataset;
  /** Names of the outputs. */
  readonly classes: readonly string[];
  /** Warning that the conversion may be wrong; undefined if it is certain. */
  readonly note?: string;
}

/**
 * Converts the labels of a dataset to the model's, by the names of the classes. If the names of the outputs are
 * unknown, class i is output i, and there must be as many classes as outputs.
 * @throws UsageError if a class is no output.
 */
function labelledFor(
  { names, guessed }: Labels,
  classes: readonly string[],
  dataset: Dataset,
  outputs: number,
): Labelled {
  const places = outputsOf(classes, names);
  const unknown = classes.filter((_, index) => places[index] === -1);
  if (names.length === 0 || (guessed && unknown.length > 0)) {
    if (classes.length !== outputs)
      throw new UsageError(
        `The weights do not name the model's ${outputs} outputs, and the folder has ${counted(classes.length, 'class', 'classes')} (${shortList(classes, 5)}), so they cannot be told apart. Name the outputs with --labels.`,
      );
    return {
      dataset,
      classes,
      note: `The weights name no classes: the ${outputs} outputs are taken for ${shortList(classes, 3)} in this order. Name them with --labels if they are others.`,
    };
  }
  if (unknown.length > 0) {
    const twice = unknown.filter((name) => names.filter((label) => label === name).length > 1);
    const cure =
      twice.length > 0
        ? `More than one output is called ${shortList(twice, 5)}: name these folders by their WordNet ids, such as ${imagenetWnids[names.indexOf(twice[0]!)]}.`
        : 'Name the folders after its classes, or the outputs with --labels.';
    throw new UsageError(
      `The model has no class called ${shortList(unknown, 5)}; it has ${shortList(names, 10)}. ${cure}`,
    );
  }
  if (places.every((place, index) => place === index)) return { dataset, classes: names };
  return { dataset: relabelled(dataset, places), classes: names };
}

/** Gives the first names of a list: `tench, goldfish, ...`. */
const shortList = (names: readonly string[], most: number): string =>
  `${names.slice(0, most).map(printable).join(', ')}${names.length > most ? ', ...' : ''}`;
