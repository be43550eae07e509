import { cpuTime } from '@cnn/testing/cpuTime';
import {
  bytesOf,
  call,
  dict,
  name,
  type Part,
  pickle,
  text,
  tuple,
  u32,
  u64,
} from '@cnn/testing/weightFiles';
import { describe, expect, test, vi } from 'vitest';
import { FileFormatError } from '../errors.js';
import { defaultLimits } from './limits.js';
import { unpickle } from './pickle.js';
import { describe as described, isTag, itemsOf, type Pickled } from './pickleValue.js';

const read = async (bytes: Uint8Array): Promise<Pickled> => (await unpickle(bytes, 0, defaultLimits)).value;

/**
 * Pickles that Python 3 writes, by protocol, for {'epoch': 3, 'args': argparse.Namespace(lr=0.1, milestones=[1, 2]),
 * 'state_dict': OrderedDict of two tensors, 'best': 91.5, 'seen': {1, 2}, 'big': 2**40, 'neg': -7,
 * 'no': None, 'flag': True, 'raw': b'ab', 'uml': 'ä€'}, with PyTorch's way of pickling tensors.
 */
const byPython: Readonly<Record<number, readonly string[]>> = {
  1: [
    '7d710028580500000065706f636871014b03580400000061726773710263636f70795f7265670a5f7265636f6e737472',
    '7563746f720a7103286361726770617273650a4e616d6573706163650a7104635f5f6275696c74696e5f5f0a6f626a65',
    '63740a71054e7471065271077d71082858020000006c727109473fb999999999999a580a0000006d696c6573746f6e65',
    '73710a5d710b284b014b02657562580a00000073746174655f64696374710c63636f6c6c656374696f6e730a4f726465',
    '726564446963740a710d2952710e28580900000066632e776569676874710f63746f7263682e5f7574696c730a5f7265',
    '6275696c645f74656e736f725f76320a71102828580700000073746f72616765711163746f7263680a466c6f61745374',
    '6f726167650a71125801000000307113580300000063707571144b06747115514b00284b024b02747116284b024b0174',
    '71174930300a680d2952711874711952711a580700000066632e62696173711b6810282868116812681368144b067471',
    '1c514b04284b0274711d284b0174711e4930300a680d2952711f747120527121755804000000626573747122474056e0',
    '000000000058040000007365656e7123635f5f6275696c74696e5f5f0a7365740a7124285d7125284b014b0265747126',
    '527127580300000062696771284c313039393531313632373737364c0a58030000006e656771294af9ffffff58020000',
    '006e6f712a4e5804000000666c6167712b4930310a5803000000726177712c635f636f646563730a656e636f64650a71',
    '2d2858020000006162712e58060000006c6174696e31712f7471305271315803000000756d6c71325805000000c3a4e2',
    '82ac7133752e',
  ],
  2: [
    '80027d710028580500000065706f636871014b0358040000006172677371026361726770617273650a4e616d65737061',
    '63650a7103298171047d71052858020000006c727106473fb999999999999a580a0000006d696c6573746f6e65737107',
    '5d7108284b014b02657562580a00000073746174655f64696374710963636f6c6c656374696f6e730a4f726465726564',
    '446963740a710a2952710b28580900000066632e776569676874710c63746f7263682e5f7574696c730a5f7265627569',
    '6c645f74656e736f725f76320a710d2828580700000073746f72616765710e63746f7263680a466c6f617453746f7261',
    '67650a710f5801000000307110580300000063707571114b06747112514b004b024b028671134b024b0186711489680a',
    '29527115747116527117580700000066632e626961737118680d2828680e680f681068114b06747119514b044b028571',
    '1a4b0185711b89680a2952711c74711d52711e75580400000062657374711f474056e000000000005804000000736565',
    '6e7120635f5f6275696c74696e5f5f0a7365740a71215d7122284b014b0265857123527124580300000062696771258a',
    '0600000000000158030000006e656771264af9ffffff58020000006e6f71274e5804000000666c616771288858030000',
    '007261777129635f636f646563730a656e636f64650a712a58020000006162712b58060000006c6174696e31712c8671',
    '2d52712e5803000000756d6c712f5805000000c3a4e282ac7130752e',
  ],
  4: [
    '80049596010000000000007d94288c0565706f6368944b038c0461726773948c086172677061727365948c094e616d65',
    '73706163659493942981947d94288c026c7294473fb999999999999a8c0a6d696c6573746f6e6573945d94284b014b02',
    '6575628c0a73746174655f64696374948c0b636f6c6c656374696f6e73948c0b4f726465726564446963749493942952',
    '94288c0966632e776569676874948c0c746f7263682e5f7574696c73948c125f72656275696c645f74656e736f725f76',
    '3294939428288c0773746f72616765948c05746f726368948c0c466c6f617453746f726167659493948c0130948c0363',
    '7075944b067494514b004b024b0286944b024b01869489680e295294749452948c0766632e6269617394681328286814',
    '6817681868194b067494514b044b0285944b01859489680e29529474945294758c046265737494474056e00000000000',
    '8c047365656e948f94284b014b02908c03626967948a060000000000018c036e6567944af9ffffff8c026e6f944e8c04',
    '666c616794888c037261779443026162948c03756d6c948c05c3a4e282ac94752e',
  ],
  5: [
    '80059596010000000000007d94288c0565706f6368944b038c0461726773948c086172677061727365948c094e616d65',
    '73706163659493942981947d94288c026c7294473fb999999999999a8c0a6d696c6573746f6e6573945d94284b014b02',
    '6575628c0a73746174655f64696374948c0b636f6c6c656374696f6e73948c0b4f726465726564446963749493942952',
    '94288c0966632e776569676874948c0c746f7263682e5f7574696c73948c125f72656275696c645f74656e736f725f76',
    '3294939428288c0773746f72616765948c05746f726368948c0c466c6f617453746f726167659493948c0130948c0363',
    '7075944b067494514b004b024b0286944b024b01869489680e295294749452948c0766632e6269617394681328286814',
    '6817681868194b067494514b044b0285944b01859489680e29529474945294758c046265737494474056e00000000000',
    '8c047365656e948f94284b014b02908c03626967948a060000000000018c036e6567944af9ffffff8c026e6f944e8c04',
    '666c616794888c037261779443026162948c03756d6c948c05c3a4e282ac94752e',
  ],
};

/** pickle.dumps({'a': [1, -2.5, True, None, 'x\ny', 'ä€', 10**20, (1, 2, 3)], 'b': {'c': ()}}, 0) */
const protocol0 = [
  '286470300a56610a70310a286c70320a49310a61462d322e350a614930310a614e6156785c7530303061790a70330a61',
  '56e45c75323061630a70340a614c3130303030303030303030303030303030303030304c0a612849310a49320a49330a',
  '7470350a617356620a70360a286470370a56630a70380a287473732e',
];

/** pickle.dumps of Python 2.7, protocol 0, by its manual: str and unicode with what needs an escape. */
const python2 = `(dp0\nS'a\\'b\\n\\xe9'\np1\nV\\u20ac\np2\ns.`;

const fromHex = (digits: readonly string[]): Uint8Array =>
  Uint8Array.from(digits.join('').match(/../g)!, (pair) => Number.parseInt(pair, 16));

test('a text that is too long for a string is refused before it is decoded', async () => {
  const bytes = bytesOf(0x8d, u64(2 ** 28 + 1), new Uint8Array(2 ** 28 + 1), '.');
  await expect(read(bytes)).rejects.toThrow(/text of 268,435,457 bytes; texts of up to 268,435,456 are read/);
});

/** Results of Python 3.13: `pickle.loads(line + b'.')`. */
test.each([
  ['V\\U0001f600!\n', '\u{1f600}!'],
  ['V\\u20ac\\u005c\\q\n', '€\\\\q'],
  ['V\\\\u0041\\\\\\u0041\n', '\\\\u0041\\\\A'],
  ['V\xe9\n', 'é'],
  ["S'\\q\\101\\7\\0x\\x41\\n\\\\x41'\n", '\\qA\u0007\u0000xA\n\\x41'],
  ["S'\\a\\b\\t\\v\\f\\r\\''\n", "\u0007\b\t\v\f\r'"],
  [bytesOf('X', u32(4), 0xef, 0xbb, 0xbf, 'a'), '\ufeffa'],
])('the text of %j is %j', async (line, expected) => {
  expect(await read(bytesOf(line, '.'))).toBe(expected);
});

test.each(['V\\u00\n', 'V\\U00110000\n', 'V\\U0001f60\n', "S'\\x4'\n"])(
  'the text of %j is refused',
  async (line) => {
    await expect(read(bytesOf(line, '.'))).rejects.toThrow(/broken escape/);
  },
);

describe('a long text', () => {
  const long = (op: string, one: string, count: number): Uint8Array => bytesOf(op, one.repeat(count), '\n.');

  // 2^16 is no multiple of 6 and 10: escapes lie across slices.
  test.each([
    ['V', '\\u20ac', '€'],
    ['V', '\\U0001f600', '\u{1f600}'],
    ['S', '\\x41b', 'Ab'],
  ])('of escapes (%s, %j) is whole', async (op, one, character) => {
    expect(await read(long(op, one, 40_000))).toBe(character.repeat(40_000));
  });

  test('of UTF-8 is whole', async () => {
    const content = new TextEncoder().encode('€'.repeat(50_000));
    expect(await read(bytesOf('X', u32(content.length), content, '.'))).toBe('€'.repeat(50_000));
  });

  test.each([
    ['V', '\\u20ac'],
    ['S', '\\x41'],
    ['V', 'a'],
  ])('(%s, %j) takes time in proportion, and can be stopped', async (op, one) => {
    const bytes = long(op, one, 8_000_000 / one.length);
    const start = cpuTime();
    await read(bytes);
    expect(cpuTime() - start).toBeLessThan(4000);
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(new Error('stopped')), 0);
    await expect(unpickle(bytes, 0, defaultLimits, aborter.signal)).rejects.toThrow('stopped');
  });
});

test('a line may be longer than a header, as values of numpy are', async () => {
  const limits = { ...defaultLimits, maxHeaderBytes: 2 ** 16 };
  expect((await unpickle(bytesOf('V', 'a'.repeat(2 ** 17), '\n.'), 0, limits)).value).toHaveLength(2 ** 17);
});

test('long keys of a dict are not compared', async () => {
  const keys = Array.from({ length: 1000 }, (_, i) => text(`${'a'.repeat(100_000)}${String(i).padStart(6)}`));
  const start = cpuTime();
  const value = await read(bytesOf('}(', ...keys.flatMap((key) => [key, 'N']), 'u.'));
  expect(cpuTime() - start).toBeLessThan(2000);
  expect((value as Map<Pickled, Pickled>).size).toBe(1000);
});

test.each(['c', 'i'])('names of classes are short (%s)', async (op) => {
  await expect(read(bytesOf('(', op, `m\n${'a'.repeat(5000)}\n.`))).rejects.toThrow(/5,000 characters/);
});

describe('what Python writes is read', () => {
  test.each([1, 2, 4, 5])('a checkpoint in protocol %i', async (protocol) => {
    const bytes = fromHex(byPython[protocol]!);
    const { value, end, references } = await unpickle(bytes, 0, defaultLimits);
    expect(end).toBe(bytes.length);
    const checkpoint = value as ReadonlyMap<Pickled, Pickled>;
    const { args, state_dict, raw, ...rest } = Object.fromEntries(checkpoint) as Record<string, Pickled>;
    expect(rest).toEqual({
      epoch: 3,
      best: 91.5,
      seen: [1, 2],
      big: 2 ** 40,
      neg: -7,
      no: null,
      flag: true,
      uml: 'ä€',
    });
    expect([...checkpoint.keys()]).toEqual([
      'epoch',
      'args',
      'state_dict',
      'best',
      'seen',
      'big',
      'neg',
      'no',
      'flag',
      'raw',
      'uml',
    ]);
    // Options are an object of a class: a tag. Protocols below 3 write bytes as a call of _codecs.encode.
    expect(isTag(args, protocol === 1 ? 'call' : 'instance')).toBe(true);
    if (protocol > 2) expect(raw).toEqual(bytesOf('ab'));
    else expect(described(raw)).toBe('_codecs.encode(...)');
    expect(references.length).toBe(2);
    const tensors = state_dict as ReadonlyMap<Pickled, Pickled>;
    expect([...tensors.keys()]).toEqual(['fc.weight', 'fc.bias']);
    const bias = tensors.get('fc.bias');
    if (!isTag(bias, 'call')) throw new Error('no call');
    expect(described(bias)).toBe('torch._utils._rebuild_tensor_v2(...)');
    expect(bias.args.slice(1, 5)).toEqual([4, [2], [1], false]);
    expect(isTag(bias.args[0], 'persistent') && (bias.args[0].id as Pickled[])[2]).toBe('0');
  });

  test('plain values in protocol 0, of Python 3 and Python 2', async () => {
    expect(await read(fromHex(protocol0))).toEqual(
      new Map<Pickled, Pickled>([
        ['a', [1, -2.5, true, null, 'x\ny', 'ä€', 1e20, [1, 2, 3]]],
        ['b', new Map([['c', []]])],
      ]),
    );
    expect(await read(bytesOf(python2))).toEqual(new Map([["a'b\n\xe9", '€']]));
  });

  test('a pickle after another, and its end', async () => {
    const two = bytesOf(pickle(7), pickle('x'));
    const first = await unpickle(two, 0, defaultLimits);
    expect([first.value, first.end]).toEqual([7, pickle(7).length]);
    expect((await unpickle(two, first.end, defaultLimits)).value).toBe('x');
  });

  test('dicts and lists of other classes keep their items', async () => {
    const pairs = bytesOf(']', '(', tuple('a', 1), tuple('b', 2), 'e');
    expect(await read(pickle(call(name('collections', 'OrderedDict'), pairs)))).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    );
    expect(await read(pickle(call(name('collections', 'Counter'), dict([['a', 1]]))))).toEqual(
      new Map([['a', 1]]),
    );
    expect(await read(pickle(call(name('torch', 'Size'), tuple(2, 3))))).toEqual([2, 3]);
    expect(await read(pickle(call(name('collections', 'defaultdict'), name('builtins', 'list'))))).toEqual(
      new Map(),
    );
  });
});

describe('nothing in a file is run', () => {
  test.each([
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['builtins', 'exec'],
    ['builtins', 'getattr'],
    ['builtins', '__import__'],
    ['subprocess', 'Popen'],
    ['torch', 'load'],
    ['torch.hub', 'load'],
    ['torch._utils', '_rebuild_tensor_v2; x'],
    ['os\\n', 'system'],
    ['collections', 'OrderedDict.__init__'],
    ['my.training', 'Config'],
  ])('a call of %s.%s is recorded, not made', async (module, what) => {
    const recorded = (value: string) => ({
      kind: 'call',
      callee: { kind: 'global', module, name: what },
      args: [value],
    });
    expect(await read(pickle(call(name(module, what), 'touch /tmp/x')))).toEqual(recorded('touch /tmp/x'));
    const byStack = bytesOf(0x80, 4, text(module), text(what), 0x93, tuple('x'), 'R.');
    expect(await read(byStack)).toEqual(recorded('x'));
    // The instructions of protocols 0 and 1 for old classes.
    expect(await read(bytesOf('(', text('x'), 'i', `${module}\n${what}\n.`))).toEqual(recorded('x'));
    expect(await read(bytesOf('(', name(module, what), text('x'), 'o.'))).toEqual(recorded('x'));
  });

  test('a call of what another call gives is recorded too', async () => {
    const partial = call(name('builtins', 'getattr'), name('my', 'Enum'), 'of');
    expect(described(await read(pickle(call(partial, 3))))).toBe('unnamed.method(...)');
  });

  test('an object of a class that is a dict keeps its items, however it was made', async () => {
    const items = new Map<Pickled, Pickled>([['a', 1]]);
    const set = bytesOf('(', text('a'), 'J', u32(1), 'u.');
    for (const made of [
      bytesOf(0x80, 2, name('my', 'Dict'), ')R', set),
      bytesOf(0x80, 2, name('my', 'Dict'), ')', 0x81, set),
      pickle(
        call(name('copy_reg', '_reconstructor'), name('my', 'Dict'), name('__builtin__', 'dict'), { a: 1 }),
      ),
    ])
      expect(itemsOf(await read(made))).toEqual(items);
  });

  test('a name that nobody calls, and an object of an unknown class, are inert tags', async () => {
    expect(await read(pickle(name('os', 'system')))).toEqual({
      kind: 'global',
      module: 'os',
      name: 'system',
    });
    const object = bytesOf(name('my', 'Config'), ')', 0x81, dict([['lr', 1]]), 'b');
    expect(await read(pickle(object))).toEqual({
      kind: 'instance',
      of: { kind: 'global', module: 'my', name: 'Config' },
      state: new Map([['lr', 1]]),
    });
  });

  test.each([0x82, 0x97, 0xff])('instruction %s is an error', async (op) => {
    await expect(read(bytesOf(0x80, 2, op, '\n\n.'))).rejects.toThrow(/has no place in a weight file/);
  });
});

describe('a broken pickle is an error that says where', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['a protocol to come', bytesOf(0x80, 6), /at byte 0\): it is of protocol 6/],
    ['an end without STOP', bytesOf(0x80, 2, 'N'), /at byte 3\): it ends in the middle/],
    ['a stack that is empty', bytesOf('.'), /pops an empty stack/],
    ['a group that is open', bytesOf('(.'), /pops an empty stack/],
    ['a group that was never opened', bytesOf('t.'), /without a MARK/],
    ['a key without a value', bytesOf('}(Nu.'), /key without a value/],
    ['items of a number', bytesOf('K', 1, '(NNu.'), /not a dict/],
    ['an append to a number', bytesOf('K', 1, 'Na.'), /not a list/],
    ['a call of a number', bytesOf('K', 1, ')R.'), /not a name/],
    ['a call without a tuple', bytesOf('cos\nsystem\nNR.'), /without a tuple/],
    ['a name of numbers', bytesOf('K', 1, 'K', 1, 0x93), /not text/],
    ['a memo entry that was never stored', bytesOf('h', 7), /entry 7 of its memo/],
    ['a text that is no UTF-8', bytesOf('X', u32(1), 0xff), /not UTF-8/],
    ['a number in letters', bytesOf('Iabc\n.'), /'abc' is not a number/],
    ['a number without digits', bytesOf('L\n.'), /'' is not a number/],
    ['a line without an end', bytesOf('cos'), /middle of a line/],
    ['bytes of 2 GB', bytesOf('B', u32(0x7fffffff), 'x'), /middle of a value of 2147483647 bytes/],
    ['bytes of 2^63', bytesOf(0x8e, [0, 0, 0, 0, 0, 0, 0, 128]), /middle of a value of 9223372036854776000/],
    ['a text of 2^60', bytesOf(0x8d, [0, 0, 0, 0, 0, 0, 0, 16]), /middle of a value/],
    ['a number of 2^31 bytes', bytesOf(0x8b, u32(2 ** 31), '.'), /whole number of 2147483648 bytes/],
  ])('%s', async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(FileFormatError);
    await expect(read(bytes)).rejects.toThrow(message);
  });
});

/** Runs within seconds on any machine, or fails: a bomb must be noticed by counting, not by running out. */
async function quickly<T>(act: () => Promise<T>): Promise<T> {
  const start = cpuTime();
  try {
    return await act();
  } finally {
    expect(cpuTime() - start).toBeLessThan(5000);
  }
}

describe('bombs', () => {
  test('100,000 lists inside each other are read without recursion', async () => {
    const value = await quickly(() => read(bytesOf(']'.repeat(100_000), 'a'.repeat(99_999), '.')));
    expect(described(value)).toBe('a list of 1');
  });

  test('values that hold themselves are read', async () => {
    const list = (await quickly(() => read(bytesOf(']q', 0, 'h', 0, 'a.')))) as Pickled[];
    expect(list[0]).toBe(list);
    const map = (await quickly(() => read(bytesOf('}q', 0, 'Nh', 0, 's.')))) as Map<Pickled, Pickled>;
    expect(map.get(null)).toBe(map);
  });

  test('a value that doubles 60 times is not written out for a message', async () => {
    const doubled = bytesOf(
      ']q',
      0,
      ...Array.from({ length: 60 }, (_, i) => ['h', i, 'h', i, 0x86, 'q', i + 1]).flat(),
    );
    expect(described(await quickly(() => read(bytesOf(doubled, '.'))))).toBe('a list of 2');
  });

  test.each(['F', 'L'])(
    'a number that is thousands of digits and a letter is refused at once (%s)',
    async (op) => {
      const digits = (count: number) => bytesOf(op, '1'.repeat(count), 'x\n.');
      await expect(quickly(() => read(digits(65_000)))).rejects.toThrow(/is not a number/);
      await expect(quickly(() => read(digits(1_000_000)))).rejects.toThrow(/line of more than 65,536 bytes/);
    },
  );

  const many = (count: number, ...parts: readonly Part[]): Uint8Array => {
    const one = bytesOf(...parts);
    const bytes = new Uint8Array(count * one.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = one[i % one.length]!;
    return bytes;
  };
  /** Stores one value under a million different numbers. */
  const memo = (): Uint8Array => {
    const bytes = many(1_100_000, 'r', u32(0));
    for (let i = 0; i < 1_100_000; i++) new DataView(bytes.buffer).setUint32(5 * i + 1, i, true);
    return bytesOf('N', bytes);
  };
  /** Has a class copy a list of 100,000 items a hundred thousand times. */
  const copies = (item: Uint8Array, module: string, what: string): Uint8Array =>
    bytesOf(
      ']q',
      0,
      '(',
      many(100_000, item),
      'e',
      name(module, what),
      'q',
      1,
      many(100_000, 'h', 0, 0x85, 'Rh', 1),
    );

  test.each<[string, () => Uint8Array]>([
    ['dicts', () => many(2_000_000, '}')],
    ['memo entries', memo],
    ['byte runs', () => many(1_100_000, 'C', 0)],
    ['names', () => many(1_100_000, 'c\n\n')],
    ['calls that make dicts', () => bytesOf(name('builtins', 'dict'), many(400_000, 0x71, 0, 0x29, 'Rh', 0))],
    ['entries of dicts', () => bytesOf('}(', many(1_100_000, 'K', 0, 'N'), 'u')],
    ['values on the stack', () => many(1_100_000, 'N')],
  ])('millions of %s are stopped by their number', async (_, bomb) => {
    const bytes = bomb();
    await expect(quickly(() => read(bytes))).rejects.toThrow(/more than 1000000 objects/);
  });

  test.each<[string, () => Uint8Array, RegExp]>([
    ['items', () => copies(bytesOf('N'), 'builtins', 'set'), /calls copy 200,000 items/],
    ['entries', () => copies(bytesOf('NN', 0x86), 'collections', 'OrderedDict'), /calls copy 400,000 items/],
  ])('%s copied again and again are stopped by the number of bytes', async (_, bomb, reason) => {
    const bytes = bomb();
    await expect(quickly(() => read(bytes))).rejects.toThrow(reason);
  });

  test('a pickle longer than a header may be is stopped there', async () => {
    const limits = { ...defaultLimits, maxHeaderBytes: 100 };
    await expect(unpickle(bytesOf('N'.repeat(101), '.'), 0, limits)).rejects.toThrow(
      /asks for 101, over the limit maxHeader/,
    );
    await expect(unpickle(bytesOf('B', u32(1000), 'x'.repeat(1000), '.'), 0, limits)).rejects.toThrow(
      /maxHeaderBytes/,
    );
    await expect(unpickle(bytesOf('I', '1'.repeat(1000), '\n.'), 0, limits)).rejects.toThrow(
      /asks for 1,001, over the limit maxHeaderBytes of 100/,
    );
    expect((await unpickle(bytesOf(u64(0), 'N.'), 8, { ...limits, maxHeaderBytes: 2 })).value).toBe(null);
  });
});

test('a million numbers as keys, chosen so that their hashes would collide, take no longer than others', async () => {
  // V8 hashes a float64 by a known function of its bits; these all fall into a few buckets of a Map.
  const count = 100_000;
  const bytes = new Uint8Array(count * 10);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    bytes[10 * i] = 'G'.charCodeAt(0);
    view.setUint32(10 * i + 1, 0x40000000 + i);
    view.setUint32(10 * i + 5, ~(0x40000000 + i) >>> 0);
    bytes[10 * i + 9] = 'N'.charCodeAt(0);
  }
  const value = await quickly(() => read(bytesOf('}(', bytes, 'u.')));
  expect(itemsOf(value)!.size).toBe(count);
});

test('a signal ends the reading of a long pickle', async () => {
  const controller = new AbortController();
  const long = new Uint8Array(16_000_000).fill('0'.charCodeAt(0)).map((byte, i) => (i % 2 === 0 ? 78 : byte));
  const reading = unpickle(long, 0, defaultLimits, controller.signal);
  setTimeout(() => controller.abort('stop'), 5);
  await expect(reading).rejects.toBe('stop');
});

test('a signal is heard between the items of one SETITEMS', async () => {
  const count = 8192;
  const items = Array.from({ length: count }, (_, i) => bytesOf(text(`k${i}`), 'N'));
  const { signal } = new AbortController();
  // Time runs so fast that each look at the clock ends a slice, after which the signal is heard.
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
  const heard = vi.spyOn(signal, 'throwIfAborted');
  try {
    await unpickle(bytesOf('}(', ...items, 'u.'), 0, defaultLimits, signal);
    const instructions = 2 * count + 4;
    // SETITEMS sets 1024 items between two looks.
    expect(heard).toHaveBeenCalledTimes(Math.floor(instructions / 1024) + count / 1024 - 1);
  } finally {
    vi.restoreAllMocks();
  }
});

test('text of a pickle is escaped in its errors', async () => {
  await expect(read(bytesOf('I\x1b[2J\n.'))).rejects.toThrow(String.raw`'\x1b[2J' is not a number`);
});

test('texts of array indices: the first 256 of a dict stay names, the others are numbers', async () => {
  const keys = Array.from({ length: 300 }, (_, i) => bytesOf(text(String(i)), 'N'));
  const items = itemsOf(await read(bytesOf('}(', ...keys, 'u.')))!;
  expect([...items.keys()].filter((key) => typeof key === 'string').length).toBe(256);
  expect(items.size).toBe(300);
  expect([...items.keys()].slice(255).map(described).slice(0, 2)).toEqual(["'255'", '256']);
  const pairs = Array.from({ length: 300 }, (_, i) => bytesOf(text(String(i)), 'N', 0x86));
  const ordered = bytesOf(name('collections', 'OrderedDict'), ']', '(', ...pairs, 'e', 0x85, 'R.');
  expect([...itemsOf(await read(ordered))!.keys()].map(described)).toEqual([...items.keys()].map(described));
});

test('a whole number of 65 to 255 bytes stays bytes; longer ones are refused', async () => {
  const big = bytesOf(0x8a, 84, 'x'.repeat(84));
  const value = itemsOf(await read(bytesOf('}(', text('seed'), big, text('b'), 'K', 1, 'u.')))!;
  expect(described(value.get('seed'))).toBe('84 bytes');
  expect(value.get('b')).toBe(1);
  await expect(read(bytesOf(0x8b, u32(256), 'x'.repeat(256), '.'))).rejects.toThrow(
    /whole number of 256 bytes/,
  );
});
