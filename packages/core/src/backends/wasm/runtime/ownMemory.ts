/** Runs a plan on one worker with its own memory, which keeps pages responsive if memory cannot be shared. */
import { createQueue } from '../../common/queue.js';
import type { Answer, Feed, Request, ValueRange } from './messages.js';
import type { LoadedPlan, Runner } from './runner.js';
import { startPool } from './workerPool.js';

/**
 * Starts a runner on one worker. It keeps the memory image, to fill the memory of a new worker if this one is
 * lost.
 * @param fallbackReason - why the plan runs on one thread, for users.
 */
export async function ownMemoryRunner(plan: LoadedPlan, fallbackReason?: string): Promise<Runner> {
  const { image, module } = plan;
  const { computePhaseCount } = image;
  const commands = image.commands[0]!;
  const hasUpdates = computePhaseCount < commands.ends.length;
  const pool = await startPool(plan, {
    async firstMessages(signal) {
      const bytes = new ArrayBuffer(image.filled);
      await image.fill(bytes, signal);
      return [[{ own: { module, pages: image.pages, image: bytes } }, [bytes]]];
    },
    stop: ([worker]) => worker?.post({ stop: true }),
  });
  /** Posts a message and returns the worker's answer. */
  const request = async (message: Request, signal?: AbortSignal): Promise<Answer> => {
    if (hasUpdates && pool.lost)
      throw new Error('The worker of the wasm back end is gone with its parameters; compile again.');
    const answer = await pool.request<Answer>(([worker]) => worker!.post(message), signal);
    if (answer.stopped) signal?.throwIfAborted();
    return answer;
  };

  // The worker answers one request at a time, and parameters may be read during a run.
  const enqueue = createQueue();
  const enqueueRun = (feeds: readonly Feed[], outputs: readonly ValueRange[], signal?: AbortSignal) =>
    enqueue(() => request({ run: { feeds, outputs, commands, computePhaseCount } }, signal));

  return {
    threads: 1,
    fallbackReason,
    run: async (feeds, outputs, signal) => (await enqueueRun(feeds, outputs, signal)).outputs,
    read: async (ranges) => (await enqueue(() => request({ read: ranges }))).outputs,
    profile: async (feeds) => (await enqueueRun(feeds, [])).times,
    dispose: pool.dispose,
  };
}
