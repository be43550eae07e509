/**
 * Holds native peers to AVX2 on machines with AVX-512, so that engines can be compared at the width of vectors
 * that JavaScript reaches. PyTorch has settings for that; of onnxruntime-node, which has none, a copy is made
 * that does not see AVX-512. The installed package is only read.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Work } from './workplace.js';
import { besidePeers, libraryOf, workplace } from './workplace.js';

/** Variables of a process. */
export type Environment = Readonly<Record<string, string>>;

/** What the process of a peer needs, or why the peer cannot be held to AVX2. */
type Held = { readonly environment: Environment } | { readonly impossible: string };

/** Each of its libraries has a setting of its own: ATen, oneDNN (two names), MKL and OpenBLAS. */
const torchSettings: Environment = {
  ATEN_CPU_CAPABILITY: 'avx2',
  ONEDNN_MAX_CPU_ISA: 'AVX2',
  DNNL_MAX_CPU_ISA: 'AVX2',
  MKL_ENABLE_INSTRUCTIONS: 'AVX2',
  OPENBLAS_CORETYPE: 'Haswell',
};

/** Holds a peer to AVX2: what its process needs for that, or why it is not possible. */
export async function holdToAvx2(peer: string, work: Work): Promise<Held> {
  if (peer === 'pytorch') return { environment: torchSettings };
  if (peer === 'onnxruntime-node') return holdOnnxRuntime(work);
  return { impossible: `nothing is known that would hold ${peer} to AVX2` };
}

/** The one library whose places are known. */
const known = {
  version: '1.30.0',
  platform: 'linux x64',
  sha256: 'ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23',
  places: 3,
};

async function holdOnnxRuntime(work: Work): Promise<Held> {
  const { version } = libraryOf('onnxruntime-node')!;
  const platform = `${process.platform} ${process.arch}`;
  if (version !== known.version || platform !== known.platform)
    return {
      impossible: `it is known how for version ${known.version} on ${known.platform}, this is ${version} on ${platform}`,
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
    return { impossible: `its library has the SHA-256 ${found}, not ${known.sha256}` };
  const places = hideAvx512(library);
  if (places !== known.places)
    return {
      impossible: `its library asks for the processor's state in ${places} places, not ${known.places}`,
    };

  const modules = join(workplace, 'onnxruntime-node-avx2/node_modules');
  const copy = join(modules, 'onnxruntime-node');
  const changed = join(copy, binaries, 'libonnxruntime.so.1');
  const before = await readFile(changed).catch(() => undefined);
  if (!before?.equals(library)) {
    work.note(`Copying onnxruntime-node into ${copy}, without AVX-512`);
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
 * Changes a library for x64 so that it sees the vectors of AVX2 at most; gives the number of changed places.
 * A program may use AVX-512 only where the system keeps its registers, which the instruction xgetbv tells:
 * it is replaced by the answer of a system that keeps those of x87, SSE and AVX.
 */
export function hideAvx512(library: Buffer): number {
  const xgetbv = Buffer.from([0x0f, 0x01, 0xd0]);
  const push7PopRax = Buffer.from([0x6a, 0x07, 0x58]);
  // The end of `and eax, 15` followed by `add eax, edx` has the same bytes.
  const endOfAnd = Buffer.from([0x83, 0xe0]);
  let places = 0;
  for (let at = library.indexOf(xgetbv); at >= 0; at = library.indexOf(xgetbv, at + xgetbv.length)) {
    if (library.subarray(Math.max(0, at - endOfAnd.length), at).equals(endOfAnd)) continue;
    push7PopRax.copy(library, at);
    places++;
  }
  return places;
}
