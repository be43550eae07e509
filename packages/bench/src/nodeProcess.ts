/** Runs programs in processes of Node, or of Python with Node's message format. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Answer, Job, Started } from './messages.js';
import { PeerFailure, type RunningProgram, TIMEOUT_MS, unwrap } from './runningProgram.js';

/** A program in a separate process. */
export interface ProcessProgram extends RunningProgram {
  /** Time at which the process was started, in milliseconds since 1970. */
  readonly spawned: number;
}

/**
 * Starts a program on a job. Kills the process if the signal aborts, or if there is no answer within
 * `TIMEOUT_MS`.
 * @param environment - variables in addition to those of this process.
 */
export async function startInNode(
  node: string,
  program: string,
  job: Job,
  signal: AbortSignal,
  environment: Readonly<Record<string, string>> = {},
): Promise<ProcessProgram> {
  signal.throwIfAborted();
  const spawned = performance.timeOrigin + performance.now();
  const child = fork(program, [JSON.stringify(job)], {
    execPath: node,
    execArgv: [],
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let errorText = '';
  child.stderr?.on('data', (part) => {
    errorText = (errorText + part).slice(-2000);
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
    const first = answerOf<Started>(child, signal, () => errorText);
    const started = unwrap(await first);
    return {
      started,
      spawned,
      async block(request) {
        const answer = answerOf<readonly number[]>(child, signal, () => errorText);
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

/** Waits for the next message of a process. */
function answerOf<T>(child: ChildProcess, signal: AbortSignal, errorText: () => string): Promise<Answer<T>> {
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
            : new PeerFailure(`the process ended with ${killedBy ?? `code ${code}`}. ${errorText().trim()}`),
        ),
      );
    const timer = setTimeout(
      () => settle(() => reject(new PeerFailure(`no answer within ${TIMEOUT_MS / 1000} seconds`))),
      TIMEOUT_MS,
    );
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.on('error', onError);
  });
}
