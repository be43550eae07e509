/** Teaches classes of one's own by a handful of examples: no training of the network, seconds instead of hours. */
import { probabilities, topK } from '@cnn/core';
import { checkSignal } from '@cnn/core/graph';
import { type FileSource, type PictureSource, readBytes } from '@cnn/image';
import type { ClassifyOptions, ClassScore } from './classifier.js';
import type { Embed } from './embedder.js';
import { ClassifyError } from './errors.js';
import { type PictureOptions, requireCount } from './network.js';
import { type Examples, type Learned, learn, MAX_EXAMPLES, normalised, scoresOf } from './probe.js';
import { readLesson, writeLesson } from './teacherFile.js';

/** Result of `train`. */
export interface Training {
  /** The method that held-out examples chose: the nearest examples, or a linear layer on the features. */
  readonly method: 'nearest neighbours' | 'linear probe';
  /**
   * Share of held-out examples that it names rightly, in [0, 1]: up to a fifth at a time, of each class. Undefined if no
   * class has two examples.
   */
  readonly accuracy: number | undefined;
  /** Number of examples that it learned from. */
  readonly examples: number;
}

/** A teacher: classes by examples, on the features of an embedder, which it does not dispose of. */
export interface Teacher {
  /** Names of the classes, in the order in which they came. */
  readonly labels: readonly string[];
  /**
   * Adds an example of a class; its features are kept, not the picture.
   * @throws TypeError for a label that is no text; ClassifyError beyond 3,000 examples; errors of the embedder.
   */
  add(label: string, source: PictureSource, options?: PictureOptions): Promise<void>;
  /**
   * Learns from all examples so far, in slices between which a page does other things: 0.3 s for 100 examples, some 5 s for
   * 1,000. The same examples give the same result.
   * @throws ClassifyError with fewer than two classes.
   */
  train(options?: PictureOptions): Promise<Training>;
  /**
   * Gives the most likely classes of a picture, as they were when `train` was called last.
   * @throws ClassifyError before `train`; errors of the embedder.
   */
  classify(source: PictureSource, options?: ClassifyOptions): Promise<readonly ClassScore[]>;
  /**
   * Writes what was trained last as a safetensors file: the features of the examples, the linear layer if it was chosen,
   * and the names of classes. @throws ClassifyError before `train`.
   */
  save(): Uint8Array;
}

/** Labels, examples and the method chosen at the last `train`. */
interface Trained {
  readonly labels: readonly string[];
  readonly examples: Examples;
  readonly learned: Learned;
}

/**
 * Makes a teacher on the features of an embedder.
 * @example
 * const embed = await embedder(models.lenet5);
 * const teach = teacher(embed);
 * await teach.add('dark', { width: 28, height: 28, data: new Uint8Array(784) });
 * await teach.add('light', { width: 28, height: 28, data: new Uint8Array(784).fill(255) });
 * await teach.train();
 * const [best] = await teach.classify({ width: 28, height: 28, data: new Uint8Array(784).fill(9) });
 */
export const teacher = (embed: Embed): Teacher => teacherOf(embed, undefined);

/**
 * Opens a teacher that was saved; it classifies at once, and more examples can be added.
 * @param source - path (Node), address, Blob or bytes of the file.
 * @param embed - an embedder of the same network, module and weights.
 * @throws FileFormatError for a file that no teacher has saved; ClassifyError for the embedder of another network.
 * @throws SourceError if the file cannot be read.
 */
export async function loadTeacher(
  source: FileSource,
  embed: Embed,
  { signal }: PictureOptions = {},
): Promise<Teacher> {
  const lesson = readLesson(await readBytes(source, { signal }));
  const size = lesson.examples.features[0]!.length;
  if (lesson.model !== embed.model || size !== embed.size)
    throw new ClassifyError(
      'ERR_NO_FEATURES',
      `This teacher was trained on ${size} features of ${lesson.model}, but the embedder gives ${embed.size} of ${embed.model}; make one of that network.`,
    );
  return teacherOf(embed, lesson);
}

function teacherOf(embed: Embed, saved: Trained | undefined): Teacher {
  let trained = saved;
  const labels = [...(saved?.labels ?? [])];
  const features = [...(saved?.examples.features ?? [])];
  const classes = [...(saved?.examples.classes ?? [])];
  const requireTrained = (): Trained => {
    if (trained) return trained;
    throw new ClassifyError(
      'ERR_NOT_TRAINED',
      'This teacher has learned nothing yet; call train() after add().',
    );
  };
  return {
    labels,
    async add(label, source, options) {
      if (typeof label !== 'string') throw new TypeError(`A label is a text, got ${typeof label}.`);
      if (features.length >= MAX_EXAMPLES)
        throw new ClassifyError(
          'ERR_EXAMPLES',
          `A teacher learns from at most ${MAX_EXAMPLES} examples; train a network with @cnn/train on more.`,
        );
      const found = normalised(await embed(source, options));
      let index = labels.indexOf(label);
      if (index < 0) index = labels.push(label) - 1;
      features.push(found);
      classes.push(index);
    },
    async train({ signal } = {}) {
      checkSignal(signal);
      if (labels.length < 2)
        throw new ClassifyError(
          'ERR_EXAMPLES',
          `A teacher needs examples of two classes or more, got ${labels.length}; add some with add(label, picture).`,
        );
      // Copies, since examples may come meanwhile.
      const examples = { features: [...features], classes: [...classes], count: labels.length };
      const names = [...labels];
      const learned = await learn(examples, signal);
      trained = { labels: names, examples, learned };
      const { method, accuracy } = learned;
      return { method, accuracy, examples: examples.features.length };
    },
    async classify(source, { top = 5, signal } = {}) {
      requireCount('top', top);
      const { labels: names, examples, learned } = requireTrained();
      const scores = scoresOf(examples, learned, normalised(await embed(source, { signal })));
      return topK(probabilities(scores.map((score) => learned.scale * score)), top).map(
        ({ index, value: probability }) => ({ label: names[index]!, index, probability }),
      );
    },
    save: () => writeLesson({ model: embed.model, ...requireTrained() }),
  };
}
