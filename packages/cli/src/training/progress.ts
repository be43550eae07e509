/** Shows the progress of a training run: a moving bar on a terminal, a line every ten seconds elsewhere. */
import type { Progress } from '@cnn/train';
import { bar, type Terminal } from '../terminal.js';
import { percent } from './report.js';

/** Milliseconds between two lines if the output is no terminal. */
const LINE_EVERY = 10_000;
/** Milliseconds between two updates of the bar. */
const BAR_EVERY = 100;

/** Formats a time: `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * Makes a function that shows steps and epochs.
 * @param say - prints the lines about epochs, which are part of the result.
 */
export function trainingProgress(
  terminal: Terminal,
  epochs: number,
  say: (line: string) => void,
  now: () => number = () => performance.now(),
): (progress: Progress) => void {
  const started = now();
  let first: number | undefined;
  let epochStarted = started;
  let shown = started;
  return (progress) => {
    const { epoch, step, totalSteps, loss, accuracy, imagesPerSecond, epochDone, validation } = progress;
    const time = now();
    first ??= step - 1;
    const counted = `epoch ${epoch}/${epochs}`;
    const numbers = [`loss ${loss.toFixed(4)}`, `accuracy ${percent(accuracy)}`];
    // There is no speed if this fit has only evaluated the epoch.
    const speed =
      imagesPerSecond > 0 ? [`${Math.round(imagesPerSecond).toLocaleString('en-US')} pictures/s`] : [];
    if (epochDone) {
      const evaluated = validation
        ? [`evaluation loss ${validation.loss.toFixed(4)} accuracy ${percent(validation.accuracy)}`]
        : [];
      say([counted, ...numbers, ...evaluated, ...speed, duration(time - epochStarted)].join('  '));
      [epochStarted, shown] = [time, time];
      return;
    }
    if (time - shown < (terminal.live ? BAR_EVERY : LINE_EVERY)) return;
    shown = time;
    const done = step - first;
    const left = `${duration(((time - started) / done) * (totalSteps - step))} left`;
    const perEpoch = totalSteps / epochs;
    const share = step / perEpoch - (epoch - 1);
    if (terminal.live) terminal.progress(`${counted} ${bar(share, 12)}`, ...numbers, left, ...speed);
    else terminal.note([counted, `${Math.floor(100 * share)} %`, ...numbers, left, ...speed].join('  '));
  };
}
