/**
 * The allow-list of functions and classes that a pickle may call. A call is recorded as data or becomes a
 * plain list or dict; none is executed. A call of anything else is an error, with no option to allow it.
 */
import type { Global, Pickled } from './pickleValue.js';

/**
 * Calls recorded as a tag with the arguments: those with which PyTorch writes tensors, and harmless others.
 */
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

/** True if instances of that class are dicts, whose items are kept. */
export const isDictClass = ({ module, name }: Global): boolean => dicts.test(`${module} ${name}`);

/**
 * Gives the value that a call is read as; undefined if the callee is not on the list.
 * @param spend - called with the number of items copied, which count towards the limit on objects.
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
  // OrderedDict([[key, value], ...]), Counter({...}), and defaultdict(list), whose argument is not its items.
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
