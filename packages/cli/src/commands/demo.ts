/** `cnn demo`: draws a few digits, classifies them with LeNet-5's weights, and suggests what to do next. */
import { compile } from '@cnn/core';
import { rank } from '../classes.js';
import { drawDigit } from '../digits.js';
import { commandOf } from '../invocation.js';
import { findModel } from '../registry.js';
import { greyPicture, type Terminal, threadsOf, topLines } from '../terminal.js';
import { loadWeights } from '../weights.js';

/** Digits to draw. */
const shown = [3, 1, 4, 5, 9, 2, 6];

/** Shows each digit with its classes, and gives the number of correct ones. */
export async function demo(terminal: Terminal, signal?: AbortSignal): Promise<number> {
  const { colours } = terminal;
  const { entry, family } = await findModel('lenet5');
  const { model, weights } = await loadWeights(() => entry.build(), entry, family, { signal }, terminal);
  await using session = await compile(model, { weights, input: entry.input });
  terminal.print(
    `LeNet-5 with the weights this project trained on MNIST, on ${session.backend} (${threadsOf(session.threads)}).`,
  );
  const labels = Array.from({ length: 10 }, (_, digit) => String(digit));
  let right = 0;
  for (const digit of shown) {
    const pixels = drawDigit(digit);
    const { data } = await session.run(pixels, { signal });
    const top = rank(data, labels, 3);
    if (top[0]!.index === digit) right++;
    terminal.print(`\n${greyPicture(pixels, 32, colours).join('\n')}\n${topLines(top, colours).join('\n')}`);
  }
  terminal.print(
    [
      '',
      `${right} of ${shown.length} drawn digits were classified correctly.`,
      '',
      'Classify a photo of yours with published weights (they are downloaded once, 14 MB):',
      colours.bold(`  ${commandOf('classify photo.jpg --model mobilenet_v2 --weights default')}`),
      `See all models with ${colours.bold(commandOf('list'))}, and every command with ${colours.bold(commandOf('--help'))}.`,
    ].join('\n'),
  );
  return right;
}
