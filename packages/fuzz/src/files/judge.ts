/** Judges how a reader treats a file: the time and memory that it takes, its errors, and its result. */
import { openSync, writeSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Contradiction, type Crafted, type Format, type Size } from './format.js';

/** Limits for reading one file, which SECURITY.md states. */
export const judgeLimits = {
  /** CPU time in seconds for each 10^6 bytes of the file. */
  secondsPerMegabyte: 2,
  /** CPU time in seconds for each 10^7 pixels or values of the result. */
  secondsPerTenMegapixels: 2,
  /** CPU time in milliseconds for any file. */
  milliseconds: 100,
  /** Memory in bytes for each byte of the file, unpacked. */
  memoryPerByte: 8,
  /** Memory in bytes for each byte of the result. */
  memoryPerResultByte: 2,
  /** Memory in 10^6 bytes for any file. */
  megabytes: 64,
};

/** Characters of the longest message. */
const MAX_MESSAGE = 2000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Linux's file that starts a new measurement of the process's largest memory; -1 where there is none. */
function openPeak(): number {
  try {
    return openSync('/proc/self/clear_refs', 'w');
  } catch {
    return -1;
  }
}

const peakFile = openPeak();

/** Starts a new measurement of the process's largest memory. On other systems than Linux it only ever grows. */
function resetPeak(): void {
  if (peakFile >= 0) writeSync(peakFile, '5');
}

/** Gives the CPU time of the process in milliseconds, and its largest memory in bytes since {@link resetPeak}. */
function usage(): { readonly time: number; readonly peak: number } {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { time: (userCPUTime + systemCPUTime) / 1000, peak: 1024 * maxRSS };
}

/** What came of reading a file. */
interface Measured {
  readonly outcome: Size | Error;
  readonly milliseconds: number;
  /** Memory in bytes beyond what the process had before. */
  readonly memory: number;
}

async function measure({ read }: Format, bytes: Uint8Array): Promise<Measured> {
  resetPeak();
  const before = usage();
  const outcome = await read(bytes).catch((error: unknown) =>
    error instanceof Error ? error : new Error(`no error but ${String(error)} is thrown`),
  );
  const after = usage();
  return { outcome, milliseconds: after.time - before.time, memory: after.peak - before.peak };
}

/** Gives what exceeds a limit, as the end of a sentence. */
function excess(
  { bytes: { length: size }, unpackedBytes }: Crafted,
  result: Size,
  { milliseconds, memory }: Measured,
): string | undefined {
  const { secondsPerMegabyte, secondsPerTenMegapixels, memoryPerByte, memoryPerResultByte } = judgeLimits;
  const time =
    (secondsPerMegabyte / 1e3) * size +
    (secondsPerTenMegapixels / 1e4) * result.values +
    judgeLimits.milliseconds;
  if (milliseconds > time)
    return `it took ${milliseconds.toFixed(0)} ms of CPU time, over ${time.toFixed(0)} ms for ${size} bytes and ${result.values} values`;
  const most =
    Math.max(memoryPerByte * unpackedBytes, memoryPerResultByte * result.bytes) + 1e6 * judgeLimits.megabytes;
  if (memory > most)
    return `it took ${(memory / 1e6).toFixed(0)} MB, over ${(most / 1e6).toFixed(0)} MB for ${unpackedBytes} unpacked bytes and a result of ${result.bytes} bytes`;
  return undefined;
}

/** The judgement of one file. */
export interface Verdict {
  readonly isRead: boolean;
  /** True if the file got beyond the signature: it was read, or the error lies after the signature's bytes. */
  readonly isBeyond: boolean;
  readonly problem?: string | undefined;
}

/** Reads a file, and again, alone, if it takes more than it may: other work of the process may have been counted. */
export async function judge(format: Format, file: Crafted): Promise<Verdict> {
  const { bytes, isValid } = file;
  let measured = await measure(format, bytes);
  const { outcome } = measured;
  const isRead = !(outcome instanceof Error);
  const result = isRead ? outcome : format.stated(bytes);
  let over = excess(file, result, measured);
  for (let again = 0; over !== undefined && again < 2; again++) {
    collectGarbage();
    measured = await measure(format, bytes);
    over = excess(file, result, measured);
  }
  const offset = !isRead && 'offset' in outcome ? outcome.offset : undefined;
  const isBeyond = isRead || !(typeof offset === 'number' && offset < format.signature);
  const problem = over ?? (isRead ? undefined : faultOf(format, outcome, isValid));
  return { isRead, isBeyond, problem };
}

function faultOf(format: Format, error: Error, isValid: boolean): string | undefined {
  if (error instanceof Contradiction) return error.message;
  if (isValid) return `a valid file is rejected: ${error.message}`;
  if (!format.isPromised(error))
    return `${error.name} instead of an error of ours: ${error.stack ?? error.message}`;
  if (error.message.length > MAX_MESSAGE) return `a message of ${error.message.length} characters`;
  return undefined;
}
