/**
 * The functions and classes that a pickle may call. Each is recorded as data or turned into a plain list or
 * dict; not one is run. Anything else that is called makes the file unreadable, with no option to allow it.
 */
import type { Global, Pickled } from './pickleValue.js';

/** Recorded as a tag with its arguments: how PyTorch writes tensors, and harmless values beside them. */
const recorded: readonly RegExp[] = [
  /^torch\._utils _rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor)$/,
  /^torch\._tensor _rebuild_from_type_v2$/,
  /^torch (device|dtype)$/,
  /^torch\.serialization _get_layout$/,
  /^numpy (dtype|ndarray)$/,
  /^numpy\.(core|_core)\.multiarray (scalar|_reconstruct)$/,
  /^_codecs encode$/,
  /^(__builtin__|builtins) (bytearray|complex|slice|range|int|float|bool|str|bytes)$/,
  /^copy_?reg _reconstructor$/,
  /^datetime (datetime|date|time|timedelta|timezone)$/,
  /^pathlib(\._local)? (Pure)?(Posix|Windows)?Path$/,
];

const dicts = /^(collections (OrderedDict|defaultdict|Counter)|(__builtin__|builtins) dict)$/;
const lists = /^((__builtin__|builtins) (set|frozenset|list|tuple)|torch Size|collections deque)$/;

/** Whether an instance of that class is a dict, so that its items are kept. */
export const isDictClass = ({ module, name }: Global): boolean => dicts.test(`${module} ${name}`);

/**
 * What a call stands for; undefined when it may not be called.
 * @param spend - told of every item that is copied, so that copies count like anything else.
 */
export function callOf(
  callee: Global,
  args: readonly Pickled[],
  spend: (items: number) => void,
): Pickled | undefined {
  const name = `${callee.module} ${callee.name}`;
  if (recorded.some((pattern) => pattern.test(name))) return { kind: 'call', callee, args };
  if (lists.test(name)) {
    const items = args[0];
    if (!Array.isArray(items)) return [];
    spend(items.length);
    return [...items];
  }
  if (!dicts.test(name)) return undefined;
  // OrderedDict([[key, value], ...]), Counter({...}), and defaultdict(list), whose argument is no content.
  const items = args.find((arg) => Array.isArray(arg) || arg instanceof Map);
  if (items instanceof Map) {
    spend(items.size);
    return new Map(items);
  }
  const result = new Map<Pickled, Pickled>();
  if (!Array.isArray(items)) return result;
  spend(items.length);
  for (const item of items as readonly Pickled[])
    if (Array.isArray(item) && item.length === 2) result.set(item[0], item[1]);
  return result;
}
