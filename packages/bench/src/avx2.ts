/**
 * Limits native peers to AVX2 on machines with AVX-512, so that engines are compared at the vector width that
 * JavaScript reaches. PyTorch has settings for this. onnxruntime-node has none, so a patched copy hides
 * AVX-512 from it; the installed package is not modified.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { besidePeers, cacheFolder, libraryOf, type RunContext } from './cacheFolder.js';

/** Environment variables of a process. */
export type Environment = Readonly<Record<string, string>>;

/** Environment that limits a peer to AVX2, or the reason why that is impossible. */
type Avx2Limit = { readonly environment: Environment } | { readonly impossible: string };

/** PyTorch's libraries have separate settings: ATen, oneDNN (under two names), MKL and OpenBLAS. */
const torchSettings: Environment = {
  ATEN_CPU_CAPABILITY: 'avx2',
  ONEDNN_MAX_CPU_ISA: 'AVX2',
  DNNL_MAX_CPU_ISA: 'AVX2',
  MKL_ENABLE_INSTRUCTIONS: 'AVX2',
  OPENBLAS_CORETYPE: 'Haswell',
};

/** Returns the environment that limits a peer to AVX2, or the reason why that is impossible. */
export async function limitToAvx2(peer: string, context: RunContext): Promise<Avx2Limit> {
  if (peer === 'pytorch') return { environment: torchSettings };
  if (peer === 'onnxruntime-node') return limitOnnxRuntime(context);
  return { impossible: `there is no known way to limit ${peer} to AVX2` };
}

/** The only library version that can be patched, and its number of xgetbv instructions to replace. */
const known = {
  version: '1.30.0',
  platform: 'linux x64',
  sha256: 'ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23',
  instructions: 3,
};

async function limitOnnxRuntime(context: RunContext): Promise<Avx2Limit> {
  const { version } = libraryOf('onnxruntime-node')!;
  const platform = `${process.platform} ${process.arch}`;
  if (version !== known.version || platform !== known.platform)
    return {
      impossible: `the patch is for version ${known.version} on ${known.platform}; this is ${version} on ${platform}`,
    };
  const entry = createRequire(besidePeers).resolve('onnxruntime-node');
  const [installed, common] = [
    join(dirname(entry), '..'),
    join(dirname(createRequire(entry).resolve('onnxruntime-common')), '../..'),
  ];
  const binaries = 'bin/napi-v6/linux/x64';
  const library = await readFile(join(installed, binaries, 'libonnxruntime.so.1'));
  const found = createHash('sha256').update(library).digest('hex');
  if (found !== known.sha256)
    return { impossible: `its library has the SHA-256 ${found} instead of ${known.sha256}` };
  const replaced = hideAvx512(library);
  if (replaced !== known.instructions)
    return {
      impossible: `its library has ${replaced} xgetbv instructions instead of ${known.instructions}`,
    };

  const modules = join(cacheFolder, 'onnxruntime-node-avx2/node_modules');
  const copy = join(modules, 'onnxruntime-node');
  const changed = join(copy, binaries, 'libonnxruntime.so.1');
  const before = await readFile(changed).catch(() => undefined);
  if (!before?.equals(library)) {
    context.note(`Copying onnxruntime-node into ${copy}, without AVX-512`);
    await cp(common, join(modules, 'onnxruntime-common'), { recursive: true });
    for (const part of ['package.json', 'dist', join(binaries, 'onnxruntime_binding.node')])
      await cp(join(installed, part), join(copy, part), { recursive: true });
    await mkdir(dirname(changed), { recursive: true });
    await writeFile(`${changed}.new`, library);
    await rename(`${changed}.new`, changed);
  }
  return { environment: { ONNXRUNTIME_NODE: join(copy, 'dist/index.js') } };
}

/**
 * Patches an x64 library in place so that it detects at most AVX2. A program may use AVX-512 only if the
 * operating system saves the AVX-512 registers, which the instruction xgetbv reports. Each xgetbv is replaced
 * by the answer of a system that saves the x87, SSE and AVX registers only.
 * @returns the number of replaced instructions.
 */
export function hideAvx512(library: Buffer): number {
  const xgetbv = Buffer.from([0x0f, 0x01, 0xd0]);
  const push7PopRax = Buffer.from([0x6a, 0x07, 0x58]);
  // `and eax, 15` followed by `add eax, edx` contains the same three bytes; skip it.
  const endOfAnd = Buffer.from([0x83, 0xe0]);
  let replaced = 0;
  for (let at = library.indexOf(xgetbv); at >= 0; at = library.indexOf(xgetbv, at + xgetbv.length)) {
    if (library.subarray(Math.max(0, at - endOfAnd.length), at).equals(endOfAnd)) continue;
    push7PopRax.copy(library, at);
    replaced++;
  }
  return replaced;
}
