/** Programs in processes of Node, or of whatever else answers messages as Node's children do. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Answer, Job, Started } from './protocol.js';
import { PATIENCE, PeerFailure, type Running, unwrap } from './running.js';

/** A program in a process of its own, and when that was started, in milliseconds since 1970. */
export interface NodeRunning extends Running {
  readonly spawned: number;
}

/** Starts a program on a job, with further variables in its environment. Ends the process when the signal says so, or when it does not answer. */
export async function startInNode(
  node: string,
  program: string,
  job: Job,
  signal: AbortSignal,
  environment: Readonly<Record<string, string>> = {},
): Promise<NodeRunning> {
  signal.throwIfAborted();
  const spawned = performance.timeOrigin + performance.now();
  const child = fork(program, [JSON.stringify(job)], {
    execPath: node,
    execArgv: [],
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr?.on('data', (part) => {
    complaints = (complaints + part).slice(-2000);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  const end = async (): Promise<void> => {
    signal.removeEventListener('abort', stop);
    stop();
    await ended;
  };
  try {
    const first = answerOf<Started>(child, signal, () => complaints);
    const started = unwrap(await first);
    return {
      started,
      spawned,
      async block(request) {
        const answer = answerOf<readonly number[]>(child, signal, () => complaints);
        child.send(request);
        return unwrap(await answer);
      },
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The next message of a process. */
function answerOf<T>(child: ChildProcess, signal: AbortSignal, complaints: () => string): Promise<Answer<T>> {
  return new Promise((resolve, reject) => {
    const settle = (work: () => void): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.off('error', onError);
      work();
    };
    const onMessage = (message: unknown): void => settle(() => resolve(message as Answer<T>));
    const onError = (error: Error): void =>
      settle(() => reject(new PeerFailure(`the process could not be started: ${error.message}`)));
    const onExit = (code: number | null, killedBy: string | null): void =>
      settle(() =>
        reject(
          signal.aborted
            ? signal.reason
            : new PeerFailure(`the process ended with ${killedBy ?? `code ${code}`}. ${complaints().trim()}`),
        ),
      );
    const timer = setTimeout(
      () => settle(() => reject(new PeerFailure(`no answer within ${PATIENCE / 1000} seconds`))),
      PATIENCE,
    );
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.on('error', onError);
  });
}
