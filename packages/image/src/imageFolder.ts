/** Lists a folder that holds a folder of pictures for each class, as torchvision's ImageFolder does. Node only. */
import { builtin, printable } from '@cnn/core/io';
import { decodeImage } from './decode.js';
import type { RgbImage } from './image.js';
import { DecoderUnavailable } from './jpegDecoder.js';

/** One file of an image folder. */
export interface FolderEntry {
  readonly path: string;
  readonly label: number;
}

/** File or folder that is no example. */
export interface LeftOut {
  readonly path: string;
  /** Words that fit after "left out:", equal for files of one kind: `hidden folder`, `.webp picture`. */
  readonly reason: string;
}

/** A folder that holds a folder of pictures for each class. */
export interface ImageFolder {
  /** Class names in the order of their code points, as Python sorts; the index is the label. */
  readonly classes: readonly string[];
  readonly entries: readonly FolderEntry[];
  /** Files and folders that are no examples: hidden ones, other formats, pictures outside of class folders. */
  readonly leftOut: readonly LeftOut[];
  /**
   * Decodes one picture; the error of a bad file names the file.
   * @throws Error if the size or the time of the file is no longer that of the first call.
   */
  load(entry: FolderEntry, options?: { readonly signal?: AbortSignal | undefined }): Promise<RgbImage>;
}

/** Extensions of the files that are read. */
const readable = /\.(jpe?g|png)$/i;
/** Extensions of pictures in formats that are not read. */
const otherPicture = /\.(webp|gif|bmp|tiff?|avif|heic|heif|jxl|jp2|ppm|pgm|pnm|svg)$/i;
/** Folders that other programs leave behind, besides those whose names begin with a dot. */
const systemFolders: ReadonlySet<string> = new Set(['__MACOSX', '@eaDir', '$RECYCLE.BIN']);
/** Largest picture file in bytes. */
const MAX_BYTES = 2 ** 28;
/** Most empty class folders that an error names. */
const NAMED = 5;
/** Most folders below a class: links can make a few folders appear any number of times. */
const MAX_FOLDERS = 100_000;

/** True for folders and files that no one has made by hand: `.ipynb_checkpoints`, `__MACOSX`, `._photo.jpg`. */
export const isHidden = (name: string): boolean => name.startsWith('.') || systemFolders.has(name);

/**
 * Compares texts by code points, as Python sorts them. JavaScript compares UTF-16 units, which puts U+1F600
 * before U+FF21.
 */
export function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rankOf(x) - rankOf(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. */
const rankOf = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);

/** Item of a folder, with symbolic links followed. */
export interface FolderItem {
  readonly name: string;
  readonly path: string;
  /** `other` for devices, and for links to nothing. */
  readonly kind: 'folder' | 'file' | 'other';
  /** True if the name is not UTF-8, which Linux allows: Node shows U+FFFD in it, and cannot open that path. */
  readonly misnamed: boolean;
}

/** Node's modules. @throws Error elsewhere. */
function node() {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const path = builtin<typeof import('node:path')>('node:path');
  const buffer = builtin<typeof import('node:buffer')>('node:buffer');
  if (!fs || !path || !buffer)
    throw new Error('imageFolder needs Node 20.16 or newer; in a browser decode the files one by one.');
  return { fs, join: path.join, extname: path.extname, isUtf8: buffer.isUtf8 };
}

/** Gives the names in a folder that are not UTF-8, as Node shows them. */
async function misnamedIn(folder: string): Promise<ReadonlySet<string>> {
  const { fs, isUtf8 } = node();
  const names = await fs.readdir(folder, { encoding: 'buffer' });
  return new Set(names.filter((bytes) => !isUtf8(bytes)).map(String));
}

/**
 * Lists a folder in the order of code points. Node only.
 * @throws Error with the path and the system's reason.
 */
export async function listFolder(folder: string): Promise<readonly FolderItem[]> {
  const { fs, join } = node();
  const listing = await fs.readdir(folder, { withFileTypes: true }).catch((error: Error) => {
    throw new Error(`Cannot list the folder ${printable(folder)}: ${printable(error.message)}.`, {
      cause: error,
    });
  });
  const misnamed = listing.some(({ name }) => name.includes('\ufffd')) ? await misnamedIn(folder) : undefined;
  const items = listing.map(async (found): Promise<FolderItem> => {
    const path = join(folder, found.name);
    // A broken link has no status.
    const status = found.isSymbolicLink() ? await fs.stat(path).catch(() => undefined) : found;
    const kind = status?.isDirectory() ? 'folder' : status?.isFile() ? 'file' : 'other';
    return { name: found.name, path, kind, misnamed: misnamed?.has(found.name) ?? false };
  });
  return (await Promise.all(items)).sort((a, b) => compareCodePoints(a.name, b.name));
}

/** Pictures below a folder, and what is left out there. */
interface Found {
  /** Files by the folder that holds them. */
  readonly files: Map<string, readonly string[]>;
  readonly leftOut: LeftOut[];
  readonly signal: AbortSignal | undefined;
}

/** Collects the pictures below a folder, in subfolders too. */
async function collect(folder: string, into: Found, above: readonly string[]): Promise<void> {
  const { fs } = node();
  into.signal?.throwIfAborted();
  const real = await fs.realpath(folder);
  // A link to a folder above would be followed for ever.
  if (above.includes(real)) {
    into.leftOut.push({ path: folder, reason: 'link to a folder above' });
    return;
  }
  const files: string[] = [];
  for (const item of await listFolder(folder)) {
    const { name, path, kind, misnamed } = item;
    const wanted = !isHidden(name) && !misnamed;
    if (wanted && kind === 'folder') await collect(path, into, [...above, real]);
    else if (wanted && kind === 'file' && readable.test(name)) files.push(path);
    else into.leftOut.push({ path, reason: reasonOf(item) });
  }
  into.files.set(folder, files);
  if (into.files.size > MAX_FOLDERS)
    throw new Error(
      `${printable(above[1] ?? folder)} holds more than ${MAX_FOLDERS.toLocaleString('en-US')} folders, each link counted; are there links in a circle?`,
    );
}

/** Gives the reason why a file or folder is no example. */
function reasonOf({ name, kind, misnamed }: FolderItem): string {
  const what = kind === 'folder' ? 'folder' : 'file';
  if (misnamed) return `${what} whose name is not UTF-8`;
  if (isHidden(name)) return `hidden ${what}`;
  if (kind === 'other') return 'link to nothing, or device';
  const extension = node().extname(name).toLowerCase();
  if (otherPicture.test(name)) return `${extension} picture`;
  return /^\.\w{1,8}$/.test(extension) ? `${extension} file` : 'other file';
}

/** Counts files by the reason for which they are left out: `3 .webp pictures, 1 hidden folder`. */
export function countLeftOut(leftOut: readonly LeftOut[]): string {
  const counts = new Map<string, number>();
  for (const { reason } of leftOut) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, count]) => `${count} ${count === 1 ? reason : plural(reason)}`).join(', ');
}

const plural = (reason: string): string => reason.replace(/\b(file|folder|picture|link)\b/, '$1s');

/** Options of {@link imageFolder}. */
export interface ImageFolderOptions {
  /** Applies the orientation of EXIF or XMP: see {@link decodeImage}. Default false, as in torchvision's ImageFolder. */
  readonly upright?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lists a folder of class folders as torchvision's ImageFolder does: classes and files in the order of their
 * code points, pictures of subfolders included, symbolic links followed. Hidden folders (`.ipynb_checkpoints`,
 * `__MACOSX`), hidden files, files that are neither JPEG nor PNG, and names that are not UTF-8 are left out and listed
 * in `leftOut`. Node only.
 * @throws Error if there is no class folder, if one has no pictures, and if the name of one is not UTF-8.
 */
export async function imageFolder(
  folder: string,
  { upright = false, signal }: ImageFolderOptions = {},
): Promise<ImageFolder> {
  const { fs } = node();
  const items = await listFolder(folder);
  const misnamed = items.find((item) => item.misnamed && item.kind !== 'file' && !isHidden(item.name));
  if (misnamed)
    throw new Error(
      `The name of the class folder ${printable(misnamed.path)} is not UTF-8, and cannot name a class; rename it.`,
    );
  const folders = items.filter(({ name, kind }) => kind === 'folder' && !isHidden(name));
  if (folders.length === 0)
    throw new Error(
      `${printable(folder)} has no class folders; put the pictures of each class in a folder of its name.`,
    );
  const outside: LeftOut[] = items.flatMap((item) => {
    const { name, path, kind } = item;
    if (kind === 'folder') return isHidden(name) ? [{ path, reason: reasonOf(item) }] : [];
    if (isHidden(name)) return [];
    // A link to nothing may have been a class.
    if (kind === 'other') return [{ path, reason: reasonOf(item) }];
    return readable.test(name) || otherPicture.test(name)
      ? [{ path, reason: 'picture outside of the class folders' }]
      : [];
  });
  const root = await fs.realpath(folder);
  const found = await Promise.all(
    folders.map(async ({ path }) => {
      const inside: Found = { files: new Map(), leftOut: [], signal };
      await collect(path, inside, [root]);
      // Python sorts the folders of os.walk by their paths.
      const sorted = [...inside.files].sort(([a], [b]) => compareCodePoints(a, b));
      return { paths: sorted.flatMap(([, files]) => files), leftOut: inside.leftOut };
    }),
  );
  const empty = folders.flatMap(({ name }, label) => {
    const { paths, leftOut } = found[label]!;
    if (paths.length > 0) return [];
    return [`${printable(name)}${leftOut.length > 0 ? ` (but ${countLeftOut(leftOut)})` : ''}`];
  });
  if (empty.length > 0) {
    const [those, hold, them] = empty.length === 1 ? ['folder', 'holds', 'it'] : ['folders', 'hold', 'them'];
    const more = empty.length > NAMED ? ` and ${empty.length - NAMED} more` : '';
    throw new Error(
      `The class ${those} ${empty.slice(0, NAMED).join(', ')}${more} of ${printable(folder)} ${hold} no JPEG or PNG pictures; remove or fill ${them}.`,
    );
  }
  /** Size and time of the files at their first reading: training must not mix two versions of a picture. */
  const versions = new Map<string, string>();
  return {
    classes: folders.map(({ name }) => name),
    entries: found.flatMap(({ paths }, label) => paths.map((path) => ({ path, label }))),
    leftOut: [...outside, ...found.flatMap(({ leftOut }) => leftOut)],
    async load({ path }, options = {}) {
      try {
        const { size, mtimeMs } = await fs.stat(path);
        if (size > MAX_BYTES)
          throw new Error(
            `it has ${size.toLocaleString('en-US')} bytes, more than ${MAX_BYTES.toLocaleString('en-US')}, the limit for a picture`,
          );
        const version = `${size} bytes of ${mtimeMs}`;
        if ((versions.get(path) ?? version) !== version)
          throw new Error('it has changed since it was first read; read the folder again');
        versions.set(path, version);
        return await decodeImage(await fs.readFile(path, options), { upright, ...options });
      } catch (error) {
        options.signal?.throwIfAborted();
        // No fault of this picture: no JPEG can be decoded.
        if (error instanceof DecoderUnavailable) throw error;
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(`${printable(path)}: ${printable(reason)}`, { cause: error });
      }
    },
  };
}
