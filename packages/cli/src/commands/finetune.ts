/** `cnn finetune <model> --data <folder>`: trains published weights with a new classifier. */
import { join } from 'node:path';
import { initialise, type ModelEntry, parameters, type Weights } from '@cnn/core';
import { requireMatch, sameShape } from '@cnn/core/graph';
import { isUnder, type ParameterGroup } from '@cnn/train';
import { commandOf } from '../invocation.js';
import { buildModel, parseModelOptions } from '../modelOptions.js';
import { type ModelRequest, type OpenModel, openModel } from '../openModel.js';
import { printable, type Terminal } from '../terminal.js';
import { openTrainingData } from '../training/data.js';
import type { TrainingOptions } from '../training/options.js';
import { claimFolder, requireOut, requireRun, runTraining } from '../training/session.js';
import { presetOf, requireSize, type Settings, settingsOf } from '../training/settings.js';
import { requireSource } from '../training/sources.js';
import { matchKept } from '../weights.js';

/** Options of the command. */
export interface FinetuneOptions extends TrainingOptions, ModelRequest {
  readonly freeze: string;
  readonly trunkLr?: number;
  readonly option: readonly string[];
}

/** Finds the classifiers: the parameters whose shapes depend on the number of classes. */
function classifierOf(entry: ModelEntry, options: Readonly<Record<string, unknown>>): ReadonlySet<string> {
  const shapes = (numClasses: number) =>
    new Map(
      [...parameters(buildModel(entry, { ...options, numClasses }))].map(([name, { shape }]) => [
        name,
        shape,
      ]),
    );
  const [two, three] = [shapes(2), shapes(3)];
  return new Set([...two].flatMap(([name, shape]) => (sameShape(shape, three.get(name)!) ? [] : [name])));
}

/**
 * Checks that the weights have everything but the classifier, which gets new weights, and notes what they have
 * besides.
 * @throws WeightsMismatch otherwise.
 */
function requireTrunk(
  { entry, model, weights }: OpenModel,
  classifier: ReadonlySet<string>,
  terminal: Terminal,
): void {
  const match = matchKept(model, weights, classifier);
  const { missing, unexpected, shapeMismatch } = match;
  if (missing.length + shapeMismatch.length > 0) requireMatch(entry.name, match);
  if (unexpected.length > 0)
    terminal.note(
      `Not part of ${entry.name} and left out: ${unexpected.slice(0, 5).map(printable).join(', ')}${unexpected.length > 5 ? `, and ${unexpected.length - 5} more` : ''}.`,
    );
}

/** Fine-tunes a model for the classes of the data. */
export async function finetune(
  name: string | undefined,
  options: FinetuneOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const outOf = (entry: ModelEntry): string => options.out ?? join('runs', `${entry.name}-finetuned`);
  const check = async (entry: ModelEntry): Promise<void> => {
    await requireRun(outOf(entry), options.resume ?? false);
    await requireSource(options.data, signal);
  };
  const opened = await openModel(
    { ...options, model: name, typed: commandOf('finetune <model>'), check },
    terminal,
    signal,
    classifierOf,
  );
  const { entry } = opened;
  const typed = parseModelOptions(opened.options);
  const classifier = classifierOf(entry, typed);
  requireTrunk(opened, classifier, terminal);
  const { freeze, trunkLr, weights: source = 'default' } = options;
  const settings: Settings = {
    ...settingsOf(entry.name, options, {
      augment: freeze === 'trunk' ? 'none' : 'standard',
      size: opened.preset.crop,
    }),
    options: opened.options,
    weights: source,
    freeze,
    trunkLr,
  };
  const out = outOf(entry);
  await requireOut(out, options.resume ?? false, settings);
  const preset = presetOf(opened.preset, settings.size);
  requireSize(entry.name, opened.model, preset, opened.preset.crop);
  const { onBadImage } = options;
  const choosing = options.patience !== undefined || settings.schedule === 'plateau';
  const request = { ...settings, preset, onBadImage, choosing };
  const data = await openTrainingData(request, terminal, signal);
  await using folder = await claimFolder(out, options.resume ?? false, settings);
  folder.requireSameData(data);
  const model = buildModel(entry, { ...typed, numClasses: data.classes.length });
  // The classifier gets new random weights, everything else the given ones.
  const fresh = initialise(model, { seed: settings.seed });
  const weights: Weights = new Map(
    [...fresh].map(([key, value]) => [key, classifier.has(key) ? value : opened.weights.get(key)!]),
  );
  const trainable = [...parameters(model)].flatMap(([key, param]) => (param.trainable ? [key] : []));
  const trunk = [...fresh.keys()].filter((key) => !classifier.has(key));
  const frozen = frozenOf(freeze, trunk);
  const slow = trainable.filter((key) => !classifier.has(key) && !isUnder(key, frozen));
  const groups: ParameterGroup[] =
    slow.length > 0 ? [{ paths: slow, learningRate: trunkLr ?? settings.lr / 10 }] : [];
  await runTraining(
    { model, weights, data, preset, settings, out, freeze: frozen, groups },
    options,
    terminal,
    signal,
  );
}

/** Gives the path prefixes of `--freeze`. */
function frozenOf(freeze: string, trunk: readonly string[]): readonly string[] {
  if (freeze === 'none') return [];
  return freeze === 'trunk' ? trunk : freeze.split(',').filter(Boolean);
}
