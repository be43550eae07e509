/** `cnn explain <picture>`: heat map of the evidence for a class, filters and feature maps, as PNG files. */
import { compile, type ModelEntry, type Module, parameters, type Weights } from '@cnn/core';
import { featureSheet, filterSheet, gradCam, overlay } from '@cnn/explain';
import { cropped, encodePng, type RgbImage, transform } from '@cnn/image';
import { classOf, labelOf, rank } from '../classes.js';
import { UsageError } from '../errors.js';
import { nameOfPicture, readPicture, requireResultPaths, writeResult, writtenTo } from '../files.js';
import { type ModelRequest, openModel, type Reading } from '../openModel.js';
import type { PlaceOptions } from '../options.js';
import { noteFallback, printable, printJson, type Terminal, topLines } from '../terminal.js';

/** Options of the command. */
export interface ExplainCommandOptions extends ModelRequest, PlaceOptions {
  readonly layer?: string;
  readonly class?: string;
  readonly opacity: number;
  readonly out?: string;
  readonly filters?: string;
  readonly features?: string;
  readonly json?: boolean;
}

/** Explains a picture, and writes the requested files. */
export async function explain(
  picture: string,
  options: ExplainCommandOptions,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<void> {
  const { backend, threads, layer } = options;
  const out = options.out ?? `${nameOfPicture(picture)}-explained.png`;
  const check = async (_: ModelEntry, { labels }: Reading): Promise<void> => {
    if (options.class !== undefined) classOf(options.class, labels);
    await requireResultPaths({ '--out': out, '--filters': options.filters, '--features': options.features });
  };
  const { entry, model, weights, preset, labels, input } = await openModel(
    { ...options, pictures: [picture], check },
    terminal,
    signal,
  );
  const classIndex = options.class === undefined ? undefined : classOf(options.class, labels);
  const image = await readPicture(picture, signal).catch((error: Error) => {
    signal?.throwIfAborted();
    throw new Error(`${printable(picture)}: ${printable(error.message)}`, { cause: error });
  });
  const x = transform(image, preset);
  const common = { weights, input, backend, threads, name: entry.name, signal };
  await using cam = await gradCam(model, { ...common, layer });
  noteFallback(terminal, backend, cam);
  const explained = await cam.explain(x, { classIndex, signal });
  const { map, logits } = explained;
  const label = labelOf(labels, explained.classIndex);

  const files: string[] = [];
  const replaced = new Set<string>();
  const write = async (file: string, sheet: RgbImage): Promise<void> => {
    files.push(file);
    if (await writeResult(file, encodePng(sheet))) replaced.add(file);
  };
  await write(out, overlay(enlarged(cropped(image, preset)), map, options.opacity));
  if (options.filters) await write(options.filters, filterSheet(firstFilters(model, weights)));
  if (options.features) {
    await using session = await compile(model, { ...common, outputs: [cam.layer] });
    await write(options.features, featureSheet((await session.runAll(x, { signal })).get(cam.layer)!));
  }

  const top = rank(logits.data, labels, 5);
  if (options.json)
    return printJson(terminal, {
      model: entry.name,
      backend: cam.backend,
      picture,
      layer: cam.layer,
      class: { index: explained.classIndex, label },
      top,
      map: { shape: map.shape, values: [...map.data] },
      files,
    });
  const shown = (file: string): string => writtenTo(file, replaced.has(file));
  terminal.print(`${printable(picture)}\n${topLines(top, terminal.colours).join('\n')}`);
  terminal.print(`The evidence for '${printable(label)}' in layer '${cam.layer}' is shown in ${shown(out)}.`);
  if (options.filters)
    terminal.print(`The filters of the first convolution are in ${shown(options.filters)}.`);
  if (options.features) terminal.print(`The feature maps of ${cam.layer} are in ${shown(options.features)}.`);
}

/** Smallest side of a result in pixels, so that a digit is visible. */
const SMALLEST = 224;

/** Enlarges a small picture; each pixel becomes a square. */
function enlarged(picture: RgbImage): RgbImage {
  const zoom = Math.ceil(SMALLEST / Math.min(picture.width, picture.height));
  if (zoom === 1) return picture;
  const [width, height] = [zoom * picture.width, zoom * picture.height];
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = 3 * (Math.floor(y / zoom) * picture.width + Math.floor(x / zoom));
      data.set(picture.data.subarray(from, from + 3), 3 * (y * width + x));
    }
  return { width, height, data };
}

/** Gives the weight of the first convolution. */
function firstFilters(model: Module, weights: Weights) {
  const first = [...parameters(model)].find(([, { shape }]) => shape.length === 4);
  if (!first) throw new UsageError('This model has no convolution whose filters could be drawn.');
  return weights.get(first[0])!;
}
