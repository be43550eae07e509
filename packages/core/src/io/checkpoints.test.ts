/**
 * Tests what training scripts, wrappers and other tools write, and what people pass by mistake: the right
 * weights come, and what was decided is said.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { cpuTime } from '@cnn/testing/cpuTime';
import {
  bytesOf,
  call,
  dict,
  floats,
  legacyFile,
  name,
  type Python,
  pickle,
  pickledTensor,
  plain,
  safetensorsFile,
  six,
  sixStorage,
  storage,
  text,
  torchZip,
  tuple,
  u16,
  u32,
  zipFile,
} from '@cnn/testing/weightFiles';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { FileFormatError } from '../errors.js';
import { tensor } from '../tensor/tensor.js';
import { Notes } from './notes.js';
import type { ReadWeightsOptions } from './options.js';
import type { Pickled } from './pickleValue.js';
import { readWeights } from './readWeights.js';
import { writeSafetensors } from './safetensors.js';
import { findStateDict } from './stateDict.js';

const w = pickledTensor();
const empty = { dtype: 'F32', shape: [0], data_offsets: [0, 0] };
const other = pickledTensor({ offset: 4, shape: [2] });
const scalar = pickledTensor({ shape: [] });
/** The state dict of a small network, and another one's of the same names. */
const sd: Python = { 'conv.weight': w, 'fc.bias': other };
const twin: Python = { 'conv.weight': pickledTensor({ shape: [3, 2] }), 'fc.bias': other };
const values = {
  'conv.weight': [
    [2, 3],
    [1, 2, 3, 4, 5, 6],
  ],
  'fc.bias': [[2], [5, 6]],
};
const twinValues = {
  ...values,
  'conv.weight': [
    [3, 2],
    [1, 2, 3, 4, 5, 6],
  ],
};

/** Reads a file, and gives its weights and what was noted. */
async function read(file: Uint8Array, options: ReadWeightsOptions = {}) {
  const notes: string[] = [];
  const weights = await readWeights(file, { onNote: ({ text: note }) => notes.push(note), ...options });
  return { weights: plain(weights), notes: notes.join('\n') };
}
const prefixed = (prefix: string, extra: { [key: string]: Python } = {}): Python => ({
  ...extra,
  ...Object.fromEntries(Object.entries(sd).map(([key, value]): [string, Python] => [prefix + key, value])),
});

describe.each([
  ['zip', torchZip],
  ['legacy', legacyFile],
])('a checkpoint in the %s format', (_, file) => {
  test.each<[string, Python, RegExp | undefined]>([
    ['a state dict', sd, undefined],
    ['AveragedModel', prefixed('module.', { n_averaged: scalar }), /'module\.'.*|'n_averaged'/],
    [
      'torch.compile',
      prefixed('_orig_mod.'),
      /Removed a prefix from the names, which wrappers such as DataParallel add: '_orig_mod\.'\./,
    ],
    ['Lightning', { state_dict: prefixed('model.'), epoch: 3 }, /'model\.'/],
    [
      'Lightning under another name',
      { 'pytorch-lightning_version': '2.1', state_dict: prefixed('net.'), optimizer_states: [] },
      /'net\.'/,
    ],
    ['a loss at the top', { epoch: 3, model_state: sd, loss: scalar }, undefined],
    ...['network', 'backbone', 'encoder', 'ema', 'student'].map((key): [string, Python, undefined] => [
      `a loss beside ${key}`,
      { epoch: 3, [key]: sd, loss: scalar },
      undefined,
    ]),
    ['random numbers beside it', { weights_now: sd, rng_state: w, cuda_rng: [w] }, undefined],
    ['a tuple', tuple(sd, 3), undefined],
    ['a list', [sd, 'x'], undefined],
    ['a Counter of layers', { conv: { weight: w }, fc: { bias: other } }, /'conv', 'fc', joined/],
    ['layers under a key', { net: { conv: { weight: w }, fc: { bias: other } } }, undefined],
    [
      'averages without the prefix of a wrapper',
      {
        state_dict: { '_fsdp_wrapped_module.conv.weight': pickledTensor({ shape: [6] }) },
        model_ema: sd,
      },
      /those under 'model_ema'/,
    ],
    ['parts', { backbone: { 'conv.weight': w }, head: { 'fc.bias': other } }, /'backbone', 'head', joined/],
    [
      "an enum, a partial, a class of one's own beside it",
      {
        state_dict: sd,
        hp: {
          w: call(name('torchvision.models.resnet', 'ResNet18_Weights'), 'IMAGENET1K_V1'),
          f: bytesOf(
            call(name('functools', 'partial'), name('my', 'f')),
            tuple(name('my', 'f'), tuple(), dict([]), null),
            'b',
          ),
          config: call(name('my.code', 'Config'), 3),
        },
      },
      undefined,
    ],
    ['a call that would harm', { ...(sd as object), x: call(name('posix', 'system'), 'true') }, undefined],
    [
      'a state dict of a class of its own',
      bytesOf(name('my.code', 'StateDict'), ')R(', text('conv.weight'), w, text('fc.bias'), other, 'u'),
      undefined,
    ],
    [
      'averages without the buffers',
      { state_dict: sd, state_dict_ema: { 'conv.weight': w } },
      /under 'state_dict'/,
    ],
  ])('gives the weights of %s', async (what, object, note) => {
    const result = await read(file(pickle(object)));
    const joined =
      what === 'parts'
        ? { 'backbone.conv.weight': values['conv.weight'], 'head.fc.bias': values['fc.bias'] }
        : values;
    expect(result.weights).toEqual(joined);
    if (note) expect(result.notes).toMatch(note);
    else expect(result.notes).toBe('');
  });

  test('averaged weights are taken, as timm does, and it is said; from takes the others', async () => {
    const both = file(
      pickle({ state_dict: sd, state_dict_ema: twin, optimizer: { state: { 0: { m: w } } } }),
    );
    const taken = await read(both);
    expect(taken.weights).toEqual(twinValues);
    expect(taken.notes).toMatch(/those under 'state_dict_ema'; the file also holds 'state_dict'/);
    const chosen = await read(both, { from: 'state_dict' });
    expect([chosen.weights, chosen.notes]).toEqual([values, '']);
    const averaged = file(pickle({ network: sd, model_ema: prefixed('module.', { n_averaged: scalar }) }));
    expect((await read(averaged)).weights).toEqual(values);
  });

  test('from follows keys, also those with dots, and takes prefixes of names', async () => {
    const object = file(pickle({ a: { 'v1.0': { x: sd } }, gan: { 'g.w': w, 'd.w': other } }));
    expect((await read(object, { from: 'a.v1.0.x' })).weights).toEqual(values);
    expect((await read(object, { from: 'gan.d' })).weights).toEqual({ w: values['fc.bias'] });
    expect((await read(object, { from: 'g' })).weights).toEqual({ w: values['conv.weight'] });
    await expect(read(object, { from: 'none' })).rejects.toThrow(
      /no dict of tensors under 'none', which the option 'from' .* it has 'gan', 'a\.v1\.0\.x'/,
    );
    await expect(read(object, { from: '' })).rejects.toThrow(TypeError);
  });

  test('several networks are named, with the way to choose', async () => {
    const object = file(pickle({ student: sd, teacher: twin }));
    await expect(read(object)).rejects.toThrow(
      /several dicts of tensors: 'student', 'teacher'. Choose .*'from'/,
    );
    expect((await read(object, { from: 'teacher' })).weights).toEqual(twinValues);
  });

  test('what rename leaves out is not judged; else it is named with its type', async () => {
    const complex = pickledTensor({ key: '1', type: 'ComplexFloatStorage', shape: [1] });
    const object = file(pickle({ ...(sd as object), window: complex }), {
      ...sixStorage,
      '1': { bytes: new Uint8Array(8), width: 8 },
    });
    const rename = (key: string): string | undefined => (key === 'window' ? undefined : key);
    expect((await read(object, { rename })).weights).toEqual(values);
    await expect(read(object)).rejects.toThrow(
      /'window' is of the type torch.ComplexFloatStorage, which is not/,
    );
  });

  test('a view that PyTorch negates lazily is negated', async () => {
    const negated = (metadata: Python): Uint8Array =>
      call(
        name('torch._utils', '_rebuild_tensor_v2'),
        storage(),
        1,
        tuple(2),
        tuple(3),
        false,
        call(name('collections', 'OrderedDict')),
        metadata,
      );
    const object = { a: negated({ neg: true }), b: negated({ neg: false, conj: true }) };
    expect((await read(file(pickle(object)))).weights).toEqual({ a: [[2], [-2, -5]], b: [[2], [2, 5]] });
  });

  test('a whole module is named, with what to save instead', async () => {
    const whole = bytesOf(
      name('my.code', 'Net'),
      ')',
      0x81,
      dict([
        ['_parameters', dict([['w', w]])],
        ['_modules', dict([])],
      ]),
      'b',
    );
    await expect(read(file(pickle({ model: whole, epoch: 3 })))).rejects.toThrow(
      /its 'model' is a whole module, an instance of my.code.Net, no state dict; .*torch.save\(checkpoint\['model'\].state_dict\(\), file\)/,
    );
    await expect(read(file(pickle(whole)))).rejects.toThrow(
      /holds a whole module, an instance of my.code.Net/,
    );
  });
});

test('protocols 0 and 1: the magic number and the storages are text', async () => {
  const magic = bytesOf('L119547037146038801333356L\n.');
  const tensor0 = bytesOf(
    'ctorch._utils\n_rebuild_tensor_v2\n(',
    "P('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 6)\n",
    'I0\n(I2\nI3\nt(I3\nI1\ntI00\nccollections\nOrderedDict\n(tRtR',
  );
  const state = bytesOf("(dS'conv.weight'\n", tensor0, 's.');
  const old = legacyFile(state).subarray(14 + 1);
  const expected = { 'conv.weight': values['conv.weight'] };
  expect((await read(bytesOf(magic, old))).weights).toEqual(expected);
  expect((await read(torchZip(state))).weights).toEqual(expected);
});

/**
 * pickle.dumps({'w': float32 [[1, 2, 3], [4, 5, 6]], 't': float32 [[1, 2], [3, 4]] in Fortran's order,
 * 'b': big-endian int16 [7, -8], 's': numpy.float64(3)}) by numpy 2.4 in protocols 0, 2, 4 and 5, and
 * numpy.savez_compressed of three of them, with the names conv.weight, t and b.
 */
const pickled: Readonly<Record<number, readonly string[]>> = {
  0: [
    '286470300a56770a70310a636e756d70792e5f636f72652e6d756c746961727261790a5f7265636f6e7374727563740a',
    '70320a28636e756d70790a6e6461727261790a70330a2849300a7470340a635f636f646563730a656e636f64650a7035',
    '0a2856620a70360a566c6174696e310a70370a7470380a5270390a747031300a527031310a2849310a2849320a49330a',
    '747031320a636e756d70790a64747970650a7031330a285666340a7031340a4930300a4930310a747031350a52703136',
    '0a2849330a563c0a7031370a4e4e4e492d310a492d310a49300a747031380a624930300a67350a28565c75303030305c',
    '7530303030803f5c75303030305c75303030305c7530303030405c75303030305c753030303040405c75303030305c75',
    '3030303080405c75303030305c7530303030a0405c75303030305c7530303030c0400a7031390a67370a747032300a52',
    '7032310a747032320a627356740a7032330a67320a2867330a2849300a747032340a67390a747032350a527032360a28',
    '49310a2849320a49320a747032370a6731360a4930310a67350a28565c75303030305c7530303030803f5c7530303030',
    '5c753030303040405c75303030305c75303030305c7530303030405c75303030305c753030303080400a7032380a6737',
    '0a747032390a527033300a747033310a627356620a7033320a67320a2867330a2849300a747033330a67390a74703334',
    '0a527033350a2849310a2849320a747033360a6731330a285669320a7033370a4930300a4930310a747033380a527033',
    '390a2849330a563e0a7034300a4e4e4e492d310a492d310a49300a747034310a624930300a67350a28565c7530303030',
    '07fff80a7034320a67370a747034330a527034340a747034350a627356730a7034360a636e756d70792e5f636f72652e',
    '6d756c746961727261790a7363616c61720a7034370a286731330a285666380a7034380a4930300a4930310a74703439',
    '0a527035300a2849330a6731370a4e4e4e492d310a492d310a49300a747035310a6267350a28565c75303030305c7530',
    '3030305c75303030305c75303030305c75303030305c753030303008400a7035320a67370a747035330a527035340a74',
    '7035350a527035360a732e',
  ],
  2: [
    '80027d7100285801000000777101636e756d70792e5f636f72652e6d756c746961727261790a5f7265636f6e73747275',
    '63740a7102636e756d70790a6e6461727261790a71034b00857104635f636f646563730a656e636f64650a7105580100',
    '000062710658060000006c6174696e31710786710852710987710a52710b284b014b024b0386710c636e756d70790a64',
    '747970650a710d58020000006634710e898887710f527110284b0358010000003c71114e4e4e4affffffff4affffffff',
    '4b0074711262896805581c0000000000c2803f00000040000040400000c280400000c2a0400000c38040711368078671',
    '14527115747116625801000000747117680268034b00857118680987711952711a284b014b024b0286711b6810886805',
    '58120000000000c2803f00004040000000400000c28040711c680786711d52711e74711f625801000000627120680268',
    '034b008571216809877122527123284b014b02857124680d5802000000693271258988877126527127284b0358010000',
    '003e71284e4e4e4affffffff4affffffff4b007471296289680558060000000007c3bfc3b8712a680786712b52712c74',
    '712d62580100000073712e636e756d70792e5f636f72652e6d756c746961727261790a7363616c61720a712f680d5802',
    '000000663871308988877131527132284b0368114e4e4e4affffffff4affffffff4b0074713362680558080000000000',
    '00000000084071346807867135527136867137527138752e',
  ],
  4: [
    '8004956d010000000000007d94288c0177948c166e756d70792e5f636f72652e6d756c74696172726179948c0c5f7265',
    '636f6e7374727563749493948c056e756d7079948c076e6461727261799493944b0085944301629487945294284b014b',
    '024b03869468058c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff',
    '4b007494628943180000803f0000004000004040000080400000a0400000c040947494628c017494680468074b008594',
    '680987945294284b014b024b02869468118843100000803f000040400000004000008040947494628c01629468046807',
    '4b008594680987945294284b014b028594680e8c02693294898887945294284b038c013e944e4e4e4affffffff4affff',
    'ffff4b007494628943040007fff8947494628c01739468028c067363616c6172949394680e8c02663894898887945294',
    '284b0368124e4e4e4affffffff4affffffff4b00749462430800000000000008409486945294752e',
  ],
  5: [
    '80059567010000000000007d94288c0177948c136e756d70792e5f636f72652e6e756d65726963948c0b5f66726f6d62',
    '7566666572949394289618000000000000000000803f0000004000004040000080400000a0400000c040948c056e756d',
    '7079948c0564747970659493948c02663494898887945294284b038c013c944e4e4e4affffffff4affffffff4b007494',
    '624b024b0386948c014394749452948c0174946804289610000000000000000000803f00004040000000400000804094',
    '680b4b024b0286948c014694749452948c0162946804289604000000000000000007fff89468088c0269329489888794',
    '5294284b038c013e944e4e4e4affffffff4affffffff4b007494624b028594680f749452948c0173948c166e756d7079',
    '2e5f636f72652e6d756c74696172726179948c067363616c617294939468088c02663894898887945294284b03680c4e',
    '4e4e4affffffff4affffffff4b00749462430800000000000008409486945294752e',
  ],
};

const npz = [
  '504b03042d0000000800000021007c9cdea2ffffffffffffffff0f001400636f6e762e7765696768742e6e7079010010',
  '00980000000000000058000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f',
  '54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0ac69a3a0ab50a64032e0686067b060606072002',
  'e206205e00c4071c00504b03042d0000000800000021008952f615ffffffffffffffff05001400742e6e707901001000',
  '900000000000000053000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54',
  '529498179f5f94920a120f292a4d050a17672416a402b91a463a0a469a3a0ab50ae4032e0686067b0606070706200164',
  '3b0000504b03042d000000080000002100be010e63ffffffffffffffff05001400622e6e707901001000840000000000',
  '000048000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9769a4aea3a09e965f54529498179f5f',
  '94920a12774bcc294e058a17672416a402f91a463a9a3a0ab50a14002e06f6ff3f00504b01022d032d00000008000000',
  '21007c9cdea258000000980000000f0000000000000000000000800100000000636f6e762e7765696768742e6e707950',
  '4b01022d032d0000000800000021008952f6155300000090000000050000000000000000000000800199000000742e6e',
  '7079504b01022d032d000000080000002100be010e634800000084000000050000000000000000000000800123010000',
  '622e6e7079504b05060000000003000300a3000000a20100000000',
];

const fromHex = (digits: readonly string[]): Uint8Array =>
  Uint8Array.from(digits.join('').match(/../g)!, (pair) => Number.parseInt(pair, 16));
const arrays = {
  w: values['conv.weight'],
  t: [
    [2, 2],
    [1, 2, 3, 4],
  ],
  b: [[2], [7, -8]],
};

describe('arrays of numpy', () => {
  test.each([2, 4, 5])('in a pickle of protocol %i, alone and by torch.save', async (protocol) => {
    const bytes = fromHex(pickled[protocol]!);
    expect((await read(bytes)).weights).toEqual(arrays);
    expect((await read(torchZip(bytes, {}))).weights).toEqual(arrays);
  });

  test('in protocol 0, by torch.save', async () => {
    expect((await read(torchZip(fromHex(pickled[0]!), {}))).weights).toEqual(arrays);
  });

  test.each([
    ['>f4', undefined, true],
    ['f4', '>', true],
    ['>f4', '<', false],
    ['<f4', undefined, false],
  ])('in the order of the type %s, or of its state: %s', async (type, order, big) => {
    const state =
      order === undefined ? bytesOf() : bytesOf(tuple(3, order, null, null, null, -1, -1, 0), 'b');
    const dtype = bytesOf(call(name('numpy', 'dtype'), type, false, true), state);
    const made = call(
      name('numpy._core.multiarray', '_reconstruct'),
      name('numpy', 'ndarray'),
      tuple(0),
      bytesOf('C', 1, 'b'),
    );
    const content = big ? floats(1, 2).reverse() : floats(2, 1);
    const x = bytesOf(made, tuple(1, tuple(2), dtype, false, bytesOf('C', 8, content)), 'b');
    expect((await read(pickle({ x }))).weights).toEqual({ x: [[2], [2, 1]] });
  });

  test('in an archive of numpy.savez', async () => {
    const { w: first, ...rest } = arrays;
    expect((await read(fromHex(npz))).weights).toEqual({ 'conv.weight': first, ...rest });
    expect((await read(fromHex(npz), { from: 'conv' })).weights).toEqual({ weight: first });
  });

  test.each([
    ["{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", /'x' is of numpy's type '<c8'/],
    ["{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", /several fields/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", /needs 12 bytes for its shape, but has 8/],
    ["{'descr': '<f4', 'fortran_order': False, }", /damaged header/],
    ["{'descr': '<f4', 'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", /damaged header/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2 1), }", /damaged header/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", /damaged header/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': '', }", /damaged header/],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } + {}", /damaged header/],
  ])('%s is an error', async (header, message) => {
    const array = bytesOf(0x93, 'NUMPY', 1, 0, header.length, 0, header, new Uint8Array(8));
    await expect(read(zipFile({ 'x.npy': array }))).rejects.toThrow(message);
  });
});

test('the parameters of a TorchScript program are read by name, and its code is not', async () => {
  const module = (type: string, attributes: Record<string, Python>): Uint8Array =>
    bytesOf(name(`__torch__.${type}`, type), ')', 0x81, dict(Object.entries(attributes)), 'b');
  const object = pickle(
    module('Net', {
      training: false,
      conv: module('Conv', { weight: w, stride: 2 }),
      fc: module('Fc', { bias: other }),
    }),
  );
  const script = (data: Uint8Array): Uint8Array =>
    zipFile({
      'n/data.pkl': data,
      'n/constants.pkl': pickle(tuple()),
      'n/code/net.py': bytesOf('x'),
      'n/data/0': six,
    });
  expect((await read(script(object))).weights).toEqual(values);
  expect((await read(script(object), { from: 'fc' })).weights).toEqual({ bias: values['fc.bias'] });
  await expect(read(script(pickle({ w })))).rejects.toThrow(/TorchScript program without parameters/);
});

describe('files on disk', () => {
  let folder = '';
  afterEach(() => rm(folder, { recursive: true }));
  const make = async (files: Record<string, Uint8Array>): Promise<string> => {
    folder = await mkdtemp(join(tmpdir(), 'cnn-checkpoints-'));
    for (const [file, bytes] of Object.entries(files)) await writeFile(join(folder, file), bytes);
    return folder;
  };
  const first = writeSafetensors(new Map([['module.a', tensor([1, 2], [2])]]));
  const second = writeSafetensors(new Map([['module.b', tensor([3], [1])]]));

  test('a file: URL as text is read', async () => {
    await make({ 'a b.safetensors': first });
    const url = pathToFileURL(join(folder, 'a b.safetensors')).href;
    expect([...(await readWeights(url)).keys()]).toEqual(['a']);
    expect([...(await readWeights(url, { onDemand: true })).keys()]).toEqual(['a']);
    const data = `data:application/octet-stream;base64,${Buffer.from(first).toString('base64')}`;
    expect([...(await readWeights(data, { cache: false })).keys()]).toEqual(['a']);
  });

  test('an index is read with the files beside it', async () => {
    const index = (map: Record<string, string>): Uint8Array =>
      new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 12 }, weight_map: map }));
    await make({
      'model.safetensors.index.json': index({ 'module.a': 'one.safetensors', 'module.b': 'two.safetensors' }),
      'outside.json': index({ a: '../one.safetensors' }),
      'itself.json': index({ a: 'itself.json' }),
      'one.safetensors': first,
      'two.safetensors': second,
    });
    const path = join(folder, 'model.safetensors.index.json');
    for (const onDemand of [false, true])
      expect(plain(await readWeights(path, { onDemand }))).toEqual({ a: [[2], [1, 2]], b: [[1], [3]] });
    await expect(readWeights(join(folder, 'outside.json'))).rejects.toThrow(/no file beside it/);
    await expect(readWeights(join(folder, 'itself.json'))).rejects.toThrow(/it is JSON, not weights/);
    await expect(readWeights(index({ a: 'one.safetensors' }))).rejects.toThrow(/pass its path or URL/);
  });

  test('the hash of an index is refused, since it says nothing about the other files', async () => {
    const index = bytesOf(JSON.stringify({ weight_map: { 'module.a': 'one.safetensors' } }));
    await make({ 'index.json': index, 'one.safetensors': first });
    const sha256 = createHash('sha256').update(index).digest('hex');
    for (const source of [index, join(folder, 'index.json')])
      await expect(readWeights(source, { sha256 })).rejects.toThrow(
        /^The option sha256 is the hash of one file, but .* in 1 other file, which it would not check/,
      );
  });

  test('an index and files that do not fit together are refused with the names and the files', async () => {
    const cases: Readonly<Record<string, readonly [Record<string, string>, RegExp]>> = {
      'moved.json': [
        { 'module.a': 'one.safetensors', 'module.b': 'one.safetensors', x: 'two.safetensors' },
        /places 'module\.b' in 'one\.safetensors', which lacks it\..* fetch them all again/,
      ],
      'missing.json': [
        { 'module.a': 'one.safetensors', c: 'one.safetensors', 'd\u001b': 'one.safetensors' },
        /places 'c', 'd\\x1b' in 'one\.safetensors', which lacks them/,
      ],
      'twice.json': [
        { 'module.a': 'one.safetensors', 'module.b': 'two.safetensors', c: 'again.safetensors' },
        /'again\.safetensors' holds 'module\.a', which its weight_map places in 'one\.safetensors'/,
      ],
      'more.json': [{ c: 'again.safetensors' }, /holds 'module\.a', which its weight_map does not name/],
    };
    const again = new Map([
      ['module.a', tensor([9, 9], [2])],
      ['c', tensor([1], [1])],
    ]);
    await make({
      'one.safetensors': first,
      'two.safetensors': second,
      'again.safetensors': writeSafetensors(again),
      ...Object.fromEntries(
        Object.entries(cases).map(([file, [map]]) => [file, bytesOf(JSON.stringify({ weight_map: map }))]),
      ),
    });
    for (const [file, [, message]] of Object.entries(cases))
      await expect(readWeights(join(folder, file))).rejects.toThrow(message);
  });

  test('what rename leaves out of the files of an index is not judged', async () => {
    const header = {
      a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      w: { dtype: 'C64', shape: [1], data_offsets: [8, 16] },
    };
    await make({
      'index.json': bytesOf(JSON.stringify({ weight_map: { a: 'one.safetensors', w: 'one.safetensors' } })),
      'one.safetensors': safetensorsFile(header, floats(1, 2, 3, 4)),
    });
    const rename = (key: string) => (key === 'w' ? undefined : key);
    for (const onDemand of [false, true]) {
      expect(plain(await readWeights(join(folder, 'index.json'), { rename, onDemand }))).toEqual({
        a: [[2], [1, 2]],
      });
      await expect(readWeights(join(folder, 'index.json'), { onDemand })).rejects.toThrow(
        /'w' has the type 'C64'/,
      );
    }
  });

  test('the options of an index are about all its files together', async () => {
    const gan = { 'one.safetensors': ['module.g.a', 'module.g.b'], 'two.safetensors': ['module.d.a', 'x.a'] };
    const one = tensor([1], [1]);
    const map = Object.entries(gan).flatMap(([file, names]) => names.map((name) => [name, file]));
    await make({
      'index.json': bytesOf(JSON.stringify({ weight_map: Object.fromEntries(map) })),
      ...Object.fromEntries(
        Object.entries(gan).map(([file, names]) => [
          file,
          writeSafetensors(new Map(names.map((name) => [name, one]))),
        ]),
      ),
    });
    const path = join(folder, 'index.json');
    expect([...(await readWeights(path)).keys()]).toEqual(Object.values(gan).flat());
    expect([...(await readWeights(path, { from: 'module.g' })).keys()]).toEqual(['a', 'b']);
    await expect(readWeights(path, { from: 'y' })).rejects.toThrow(/no name in it starts with 'y.'/);
    // The second file is refused before a byte of it is read.
    const seen: number[] = [];
    const [firstSize, secondSize] = await Promise.all(
      Object.keys(gan).map(async (name) => (await stat(join(folder, name))).size),
    );
    const limits = { maxBytes: firstSize! + secondSize! - 1 };
    await expect(
      readWeights(path, { limits, onProgress: ({ loaded }) => seen.push(loaded) }),
    ).rejects.toThrow(`asks for ${firstSize! + secondSize!}, over the limit maxBytes of ${limits.maxBytes}`);
    expect(seen).toEqual([(await stat(path)).size, firstSize]);
    expect((await readWeights(path, { limits, onDemand: true })).size).toBe(4);
    await expect(readWeights(path, { limits: { maxElements: 3 } })).rejects.toThrow(
      /asks for 4, .*maxElements/,
    );
  });

  test('weights that are a small part of a file do not keep the rest in memory', async () => {
    const large = new Uint8Array(10_000_000);
    const object = pickle({
      state_dict: { a: pickledTensor({ shape: [2, 3] }), tied: pickledTensor({ shape: [2, 3] }) },
      optimizer: { state: { 0: { m: pickledTensor({ key: '1', shape: [2_500_000] }) } } },
    });
    await make({ 'x.pth': torchZip(object, { ...sixStorage, '1': { bytes: large } }) });
    const weights = await readWeights(join(folder, 'x.pth'));
    const [a, tied] = [weights.get('a')!, weights.get('tied')!];
    expect([...a.data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(a.data.buffer.byteLength).toBe(24);
    expect(tied.data).toBe(a.data);
  });
});

describe('what people pass by mistake is named', () => {
  const tar = (...names: readonly string[]): Uint8Array =>
    bytesOf(
      ...names.flatMap((file) => [
        file,
        new Uint8Array(124 - file.length),
        '00000000003\0',
        new Uint8Array(121),
        'ustar',
        new Uint8Array(250),
        'abc',
        new Uint8Array(509),
      ]),
    );
  test.each<[string, Uint8Array, RegExp]>([
    [
      'JSON',
      bytesOf('{"error": "rate limit exceeded"}'),
      /it is JSON, not weights: '\{"error": "rate limit exceeded"\}'.*check the URL/,
    ],
    ['text', bytesOf('Access denied. Log in first.'), /it is text, not weights: 'Access denied/],
    [
      'a tar of weights',
      tar('resnet18.pth', 'README'),
      /tar archive that holds 'resnet18.pth', 'README'; unpack/,
    ],
    ['a tar of old PyTorch', tar('sys_info', 'pickle'), /as PyTorch wrote before 0.1.10/],
    ['zstd', bytesOf(0x28, 0xb5, 0x2f, 0xfd, 1), /compressed with zstd/],
    ['one array', bytesOf(0x93, 'NUMPY', 1, 0), /single array of numpy/],
    [
      'pickle.dump of tensors',
      pickle({
        w: call(
          name('torch._utils', '_rebuild_tensor_v2'),
          call(name('torch.storage', '_load_from_bytes'), 'x'),
          0,
          tuple(1),
          tuple(1),
        ),
      }),
      /saved with pickle.dump/,
    ],
    [
      'a name with control characters',
      safetensorsFile({ '\x1b[2J\nx': { dtype: 'F9', shape: [1], data_offsets: [0, 4] } }, floats(1)),
      /the entry '\\x1b\[2J\\nx' has the type/,
    ],
  ])('%s', async (_, file, message) => {
    await expect(read(file)).rejects.toThrow(FileFormatError);
    await expect(read(file)).rejects.toThrow(message);
  });
});

test('without a listener, only a choice among several state dicts is said, on the console', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  try {
    await readWeights(torchZip(pickle(prefixed('module.'))));
    expect(warn).not.toHaveBeenCalled();
    await readWeights(torchZip(pickle({ state_dict: sd, model_ema: twin })));
    expect(warn.mock.calls).toEqual([[expect.stringMatching(/'model_ema'.*'state_dict'.*from: /)]]);
  } finally {
    warn.mockRestore();
  }
});

describe('texts of a file are escaped and cut in errors:', () => {
  const long = `\x1b[2J${'x'.repeat(5000)}`;
  const storageOf = (type: string) => pickledTensor({ key: '1', type });
  test.each<[string, Uint8Array]>([
    ['the type of a storage', torchZip(pickle({ w: storageOf(long) }))],
    ['the type of a storage of the older format', legacyFile(pickle({ w, x: storageOf(long) }))],
    ['the function of a tensor', torchZip(pickle({ w: call(name('torch._utils', `_rebuild_${long}`)) }))],
    ['the name of a tensor', torchZip(pickle({ [long]: storageOf('ComplexFloatStorage') }))],
    ['the class of what is called', torchZip(bytesOf(name(long, 'x'), 'N', 'R.'))],
    ['the key of a storage', torchZip(pickle({ w: pickledTensor({ key: long }) }))],
    ['a number', torchZip(bytesOf(`I${long}\n.`))],
    ['a long number', torchZip(bytesOf(`L${long}\n.`))],
    ['the keys of a file', torchZip(pickle({ [long]: 1 }))],
    [
      'a type of safetensors',
      safetensorsFile({ a: { dtype: long, shape: [1], data_offsets: [0, 4] } }, floats(1)),
    ],
    ['a name of safetensors', safetensorsFile({ [long]: 1 })],
    ['a header that is no JSON', safetensorsFile(`{${long}`)],
    [
      'a type of numpy',
      zipFile({
        'a.npy': bytesOf(
          [0x93],
          'NUMPY',
          1,
          0,
          u16(9999),
          `{'descr': '${long}', 'fortran_order': False, 'shape': (1,)}`.padEnd(9999),
        ),
      }),
    ],
    ['a name of a zip file', zipFile({ [long]: six })],
    ['a file of an index', bytesOf(JSON.stringify({ weight_map: { a: long } }))],
    [
      'a name in a tar file',
      bytesOf('\x1b[2J.pth'.padEnd(124, '\0'), '1'.padEnd(133, '\0'), 'ustar'.padEnd(999, '\0')),
    ],
    ['a page', bytesOf(JSON.stringify({ error: long }))],
  ])('%s', async (_, file) => {
    const error = await read(file, { onNote: undefined }).catch((reason: Error) => reason);
    if (!(error instanceof FileFormatError)) throw error;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
    expect(error.message).not.toMatch(/[\x00-\x1f]/);
    expect(error.message.length).toBeLessThan(600);
  });
});

describe('bombs', () => {
  /** Reads a file that is refused or read within a second for each of its megabytes, and two. */
  async function soon(file: Uint8Array): Promise<unknown> {
    const started = cpuTime();
    const result = await read(file).catch((error: unknown) => error);
    expect(cpuTime() - started).toBeLessThan(2000 + file.length / 1000);
    return result;
  }
  const many = (count: number, item: (i: number) => Uint8Array): Uint8Array =>
    bytesOf(...Array.from({ length: count }, (_, i) => item(i)));

  test('zeros that deflate to nothing are refused by the size of the file', async () => {
    const bytes = deflateRawSync(new Uint8Array(100_000_000));
    const object = pickle({ w: pickledTensor({ shape: [25_000_000] }) });
    const file = zipFile({ 'a/data.pkl': object, 'a/data/0': { bytes, method: 8, claims: 100_000_000 } });
    expect(String(await soon(file))).toMatch(/over 32 times the [\d,]+ of the file/);
  });

  test('63 axes of extent 1 cost nothing', async () => {
    const bytes = new Uint8Array(4_000_000);
    const shape = [1000, ...Array<number>(62).fill(1), 1000];
    const strides = [1, ...Array<number>(62).fill(0), 1000];
    const object = pickle({ w: pickledTensor({ shape, strides }) });
    expect(await soon(torchZip(object, { '0': { bytes } }))).not.toBeInstanceOf(Error);
  });

  test('one long text that many arrays of numpy share is not decoded for each', async () => {
    const long = bytesOf(text('x'.repeat(1_000_000)), 'q', 0, '0');
    const array = (i: number): Uint8Array =>
      bytesOf(
        text(`a${i}`),
        name('numpy._core.multiarray', '_reconstruct'),
        ')R',
        tuple(
          1,
          tuple(1),
          call(name('numpy', 'dtype'), 'f4'),
          false,
          bytesOf(name('_codecs', 'encode'), '(h', 0, text('latin1'), 'tR'),
        ),
        'b',
      );
    const file = torchZip(bytesOf(0x80, 2, long, '}(', many(5000, array), 'u.'), {});
    expect(String(await soon(file))).toMatch(/needs 4 bytes for its shape, but has 1000000/);
  });

  test('a signal is heard while values are converted', async () => {
    const halves = new Uint8Array(64_000_000);
    const object = pickle({ w: pickledTensor({ type: 'HalfStorage', shape: [32_000_000] }) });
    const file = torchZip(object, { '0': { bytes: halves } });
    const controller = new AbortController();
    const reading = readWeights(file, { signal: controller.signal });
    let aborted = 0;
    setTimeout(() => {
      aborted = cpuTime();
      controller.abort('stop');
    }, 30);
    await expect(reading).rejects.toBe('stop');
    expect(cpuTime() - aborted).toBeLessThan(100);
  });

  // Texts of array indices, of which V8 (Node 20.16, 24.4) hashes 65,000 multiples of 65,536 to one place: 50 seconds.
  test.each<[string, (indices: readonly string[]) => Uint8Array]>([
    ['safetensors', (all) => safetensorsFile(Object.fromEntries(all.map((key) => [key, empty])))],
    [
      'safetensors behind a prefix',
      (all) => safetensorsFile(Object.fromEntries(all.map((key) => [`module.${key}`, empty]))),
    ],
    ['zip', (all) => zipFile(Object.fromEntries(all.map((key) => [key, bytesOf()])))],
    ['npz', (all) => zipFile(Object.fromEntries(all.map((key) => [`${key}.npy`, bytesOf()])))],
    [
      'an index',
      (all) => bytesOf(JSON.stringify({ weight_map: Object.fromEntries(all.map((key) => [key, 'a'])) })),
    ],
    [
      'a pickle behind a prefix',
      (all) => torchZip(pickle(Object.fromEntries(all.map((key) => [`module.${key}`, w])))),
    ],
  ])('names that collide: %s', async (_, file) => {
    const multiples = Array.from({ length: 15_000 }, (__, i) => String(i * 65_536));
    expect(String(await soon(file(multiples)))).toMatch(/more than 256 of its names are whole numbers/);
    // Those of a ParameterList are read.
    expect(String(await soon(file(multiples.slice(0, 256))))).not.toMatch(/whole numbers/);
  });

  /** A TorchScript program of modules in each other, each under the same long name. */
  const nested = (key: string): Uint8Array =>
    zipFile({
      'a/constants.pkl': pickle(null),
      'a/data.pkl': bytesOf(
        ...[w, 'q', 1, '0', text(key), 'q', 2, '0'],
        many(50, () => bytesOf(name('__torch__', 'M'), ')', 0x81, '}(Vw\nh', 1, 'h', 2)),
        'N',
        many(50, () => bytesOf('ub')),
        '.',
      ),
    });

  // V8 hashes texts of 16,384 characters by their length alone.
  test.each<[string, (key: string) => Uint8Array]>([
    ['safetensors', (key) => safetensorsFile({ [key]: empty })],
    ['safetensors, escaped', (key) => safetensorsFile(`{"${'\\u0061'.repeat(key.length)}":1}`)],
    ['metadata of safetensors', (key) => safetensorsFile({ __metadata__: { [key]: '' } })],
    ['zip', (key) => zipFile({ [key]: bytesOf() })],
    ['npz', (key) => zipFile({ [`${key}.npy`]: bytesOf() })],
    ['an index', (key) => bytesOf(JSON.stringify({ weight_map: { [key]: 'a' } }))],
    ['a pickle', (key) => torchZip(pickle({ [key]: w }))],
    ['a storage', (key) => torchZip(pickle({ w: pickledTensor({ key }) }))],
    ['TorchScript', nested],
    ['TorchScript of many levels', (key) => nested(key.slice(0, 4000))],
  ])('a name that is too long: %s', async (_, file) => {
    expect(String(await soon(file('a'.repeat(20_000))))).toMatch(/names of up to 4,096 are read/);
    expect(String(await soon(file('a'.repeat(60))))).not.toMatch(/are read$/);
  });

  // One list of extents may have 64; JSON.parse takes 25 bytes for each of seven million.
  test.each<[string, (values: string) => Uint8Array]>([
    ['a shape', (values) => safetensorsFile(`{"a":{"shape":[${values}1]}}`)],
    ['a list in an index', (values) => bytesOf(`{"weight_map":{"a":"b"},"x":[${values}1]}`)],
  ])('a long list: %s', async (_, file) => {
    expect(String(await soon(file('1,'.repeat(7_000_000))))).toMatch(/list of more than 64 values/);
    expect(String(await soon(file('1,'.repeat(63))))).not.toMatch(/more than 64 values/);
  });

  test('an index of more names than tensors may be', async () => {
    const names = Array.from({ length: 350_000 }, (_, i) => `"n${i}":"a"`).join(',');
    expect(String(await soon(bytesOf(`{"weight_map":{${names}}}`)))).toMatch(/over the limit maxTensors/);
    const objects = `{${Array.from({ length: 90 }, (_, i) => `"${i}a":0`).join(',')}}`;
    const metadata = Array.from({ length: 1200 }, (_, i) => `"m${i}":${objects}`).join(',');
    expect(String(await soon(bytesOf(`{"weight_map":{"a":"b"},"metadata":{${metadata}}}`)))).toMatch(
      /over the limit maxTensors/,
    );
  });

  test('memo entries under numbers that collide', async () => {
    const put = (i: number): Uint8Array => bytesOf('r', u32(Math.imul(i, 0x9e3779b1) >>> 0));
    expect(await soon(torchZip(bytesOf('N', many(100_000, put), '0}.')))).not.toBeInstanceOf(Error);
  });
});

describe('what stands beside the network is not taken for it:', () => {
  const beside: Python = { class_weights: other };
  test.each<[string, { [key: string]: Python }]>([
    ['class weights under a usual key', { ...(sd as object), weights: beside }],
    ['a scalar under a usual key', { ...(sd as object), module: { x: scalar } }],
    ['scalars beside a backbone', { epoch: 3, backbone: sd, params: { lr: scalar } }],
    ['class weights beside a backbone', { epoch: 3, backbone: sd, weights: beside }],
    ['an optimizer of another case', { epoch: 3, backbone: sd, optimizerG: twin, lrSched: twin }],
  ])('%s', async (_, object) => {
    const { weights, notes } = await read(torchZip(pickle(object)));
    expect(weights).toEqual(values);
    if (object.weights) expect(notes).toMatch(/also holds 'weights'/);
  });

  test('a tensor at the top beside the state dict is said', async () => {
    const { notes } = await read(torchZip(pickle({ model: sd, classes: other })));
    expect(notes).toMatch(/those under 'model'; the file also holds tensors at its top/);
  });

  test('a usual key with a tenth of the tensors of another dict', async () => {
    const large = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`l${i}.weight`, w]));
    const { weights } = await read(torchZip(pickle({ backbone: large, params: sd })));
    expect(Object.keys(weights)).toEqual(Object.keys(large));
  });
});

test('a backbone and a small head under one key are one network', async () => {
  const backbone = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`l${i}.weight`, w]));
  const { weights } = await read(torchZip(pickle({ net: { backbone, head: { weight: w, bias: other } } })));
  expect(Object.keys(weights)).toEqual([
    ...Object.keys(backbone).map((key) => `backbone.${key}`),
    'head.weight',
    'head.bias',
  ]);
});

test('an optimized model is no optimizer', async () => {
  expect((await read(torchZip(pickle({ model_optimized: sd })))).weights).toEqual(values);
});

test('a tensor whose key is a number is left out with a note beside names, an error alone', async () => {
  const mixed = (key: Uint8Array, ...more: Uint8Array[]) => torchZip(bytesOf('}(', key, w, ...more, 'u.'));
  const { weights, notes } = await read(mixed(bytesOf('K', 7), text('fc.weight'), w));
  expect(Object.keys(weights)).toEqual(['fc.weight']);
  expect(notes).toMatch(/Left out, as their keys are no names: 7\./);
  await expect(read(mixed(bytesOf('K', 7)))).rejects.toThrow(/a tensor has the key 7/);
});

test('an average beside a hundred dicts of a thousand names is compared in linear time', async () => {
  const names = Array.from({ length: 1000 }, (_, i) => text(`a.${i}`));
  const dictOf = bytesOf('}(', ...names.map((key) => bytesOf(key, 'h', 0)), 'u');
  const keys = ['ema_x', ...Array.from({ length: 99 }, (_, i) => `m${i}`)];
  const file = torchZip(bytesOf(w, 'q', 0, '0}(', ...keys.flatMap((key) => [text(key), dictOf]), 'u.'));
  const start = cpuTime();
  const { notes } = await read(file);
  expect(notes).toMatch(/those under 'ema_x'/);
  expect(cpuTime() - start).toBeLessThan(2000);
});

test('a signal is heard while the state dict is looked for', async () => {
  const dict = new Map<Pickled, Pickled>();
  for (let i = 0; i < 200_000; i++) dict.set(`k${i}`, new Map());
  const controller = new AbortController();
  setTimeout(() => controller.abort('stop'), 1);
  const finding = findStateDict('torch zip', dict, undefined, new Notes(), controller.signal);
  await expect(finding).rejects.toBe('stop');
});
