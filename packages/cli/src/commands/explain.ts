/** `cnn explain <picture>`: where in a picture the evidence lies, and what the layers make of it, as PNG files. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { type BackendName, compile, type Module, parameters, type Weights } from '@cnn/core';
import { featureSheet, filterSheet, gradCam, overlay } from '@cnn/explain';
import { cropped, decodeImage, encodePng, type RgbImage, transform } from '@cnn/image';
import { UsageError } from '../errors.js';
import { type ModelRequest, openModel } from '../openModel.js';
import { parseCount } from '../options.js';
import { noteFallback, type Terminal, topLines } from '../terminal.js';
import { rank } from './classify.js';

/** Options of the command. */
export interface ExplainCommandOptions extends ModelRequest {
  readonly layer?: string;
  readonly class?: string;
  readonly opacity: string;
  readonly out?: string;
  readonly filters?: string;
  readonly features?: string;
  readonly backend: BackendName;
  readonly threads?: string;
  readonly json?: boolean;
}

/** Explains one picture and writes what was asked for. */
export async function explain(
  picture: string,
  options: ExplainCommandOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const opacity = parseShare(options.opacity);
  const { entry, model, weights, preset, labels } = await openModel(options, terminal, signal);
  const image = await decodeImage(await readFile(picture));
  const x = transform(image, preset);
  const common = {
    weights,
    input: x.shape,
    backend: options.backend,
    name: entry.name,
    threads: options.threads ? parseCount(options.threads) : undefined,
    signal,
  };
  await using cam = await gradCam(model, { ...common, layer: options.layer });
  noteFallback(terminal, options.backend, cam);
  const classIndex = options.class === undefined ? undefined : parseClass(options.class, labels);
  const explained = await cam.explain(x, { classIndex, signal });
  const { map, logits } = explained;
  const label = labels[explained.classIndex] ?? `class ${explained.classIndex}`;

  const files: string[] = [];
  const write = async (file: string, sheet: RgbImage): Promise<void> => {
    await writeFile(file, encodePng(sheet));
    files.push(file);
  };
  await write(
    options.out ?? `${basename(picture, extname(picture))}-explained.png`,
    overlay(cropped(image, preset), map, opacity),
  );
  if (options.filters) await write(options.filters, filterSheet(firstFilters(model, weights)));
  if (options.features) {
    await using session = await compile(model, { ...common, outputs: [cam.layer] });
    await write(options.features, featureSheet((await session.runAll(x, { signal })).get(cam.layer)!));
  }

  const top = rank(logits.data, labels, 5);
  if (options.json)
    return terminal.print(
      JSON.stringify(
        {
          model: entry.name,
          backend: cam.backend,
          picture,
          layer: cam.layer,
          class: { index: explained.classIndex, label },
          top,
          map: { shape: map.shape, values: [...map.data] },
          files,
        },
        null,
        2,
      ),
    );
  terminal.print(`${picture}\n${topLines(top, terminal.colours).join('\n')}`);
  terminal.print(`What speaks for '${label}' at ${cam.layer} is in ${files[0]}.`);
  if (options.filters) terminal.print(`The filters of the first convolution are in ${options.filters}.`);
  if (options.features) terminal.print(`The feature maps of ${cam.layer} are in ${options.features}.`);
}

/** The weight of the first convolution. */
function firstFilters(model: Module, weights: Weights) {
  const first = [...parameters(model)].find(([, { shape }]) => shape.length === 4);
  if (!first) throw new UsageError('This model has no convolution whose filters could be drawn.');
  return weights.get(first[0])!;
}

/** A class by its index or its label. */
function parseClass(text: string, labels: readonly string[]): number {
  const byLabel = labels.indexOf(text);
  if (byLabel >= 0) return byLabel;
  const index = Number(text);
  if (text.trim() && Number.isInteger(index) && index >= 0) return index;
  const near = labels.filter((label) => label.includes(text)).slice(0, 5);
  throw new UsageError(
    `There is no class '${text}'.${near.length > 0 ? ` Near it are ${near.map((label) => `'${label}'`).join(', ')}.` : ' Give an index or a label.'}`,
  );
}

/** A number from 0 to 1. */
function parseShare(text: string): number {
  const share = Number(text);
  if (!text.trim() || !(share >= 0 && share <= 1))
    throw new UsageError(`'${text}' is not a number from 0 to 1.`);
  return share;
}
