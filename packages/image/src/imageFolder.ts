/** Lists a folder that holds a folder of pictures for each class, as torchvision's ImageFolder does. Node only. */
import { builtin, printable } from '@cnn/core/io';
import { decodeImage } from './decode.js';
import type { RgbImage } from './image.js';

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
  /** Decodes one picture; the error of a bad file names the file. */
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
interface Item {
  readonly name: string;
  readonly path: string;
  readonly kind: 'folder' | 'file' | 'other';
}

/** Node's modules. @throws Error elsewhere. */
function node() {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  const path = builtin<typeof import('node:path')>('node:path');
  if (!fs || !path)
    throw new Error('imageFolder needs Node 20.16 or newer; in a browser decode the files one by one.');
  return { fs, join: path.join, extname: path.extname };
}

/** Lists a folder in the order of code points. */
async function itemsOf(folder: string): Promise<readonly Item[]> {
  const { fs, join } = node();
  const listing = await fs.readdir(folder, { withFileTypes: true }).catch((error: Error) => {
    throw new Error(`Cannot list the image folder ${printable(folder)}: ${printable(error.message)}.`);
  });
  const items = listing.map(async (found): Promise<Item> => {
    const path = join(folder, found.name);
    // A broken link has no status.
    const status = found.isSymbolicLink() ? await fs.stat(path).catch(() => undefined) : found;
    const kind = status?.isDirectory() ? 'folder' : status?.isFile() ? 'file' : 'other';
    return { name: found.name, path, kind };
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
async function collect(folder: string, into: Found, above: readonly string[] = []): Promise<void> {
  const { fs } = node();
  into.signal?.throwIfAborted();
  const real = await fs.realpath(folder);
  // A link to a folder above would be followed for ever.
  if (above.includes(real)) {
    into.leftOut.push({ path: folder, reason: 'link to a folder above' });
    return;
  }
  const files: string[] = [];
  for (const { name, path, kind } of await itemsOf(folder)) {
    if (isHidden(name))
      into.leftOut.push({ path, reason: kind === 'folder' ? 'hidden folder' : 'hidden file' });
    else if (kind === 'folder') await collect(path, into, [...above, real]);
    else if (readable.test(name) && kind === 'file') files.push(path);
    else into.leftOut.push({ path, reason: reasonOf(name, kind) });
  }
  into.files.set(folder, files);
  if (into.files.size > MAX_FOLDERS)
    throw new Error(
      `${printable(above[0] ?? folder)} holds more than ${MAX_FOLDERS.toLocaleString('en-US')} folders, each link counted; are there links in a circle?`,
    );
}

/** Gives the reason why a file is no example. */
function reasonOf(name: string, kind: Item['kind']): string {
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
 * `__MACOSX`), hidden files, and files that are neither JPEG nor PNG are left out and listed in `leftOut`.
 * Node only.
 * @throws Error if there is no class folder, or if one has no pictures.
 */
export async function imageFolder(
  folder: string,
  { upright = false, signal }: ImageFolderOptions = {},
): Promise<ImageFolder> {
  const { fs } = node();
  const items = await itemsOf(folder);
  const folders = items.filter(({ name, kind }) => kind === 'folder' && !isHidden(name));
  if (folders.length === 0)
    throw new Error(
      `${printable(folder)} has no class folders; put the pictures of each class in a folder of its name.`,
    );
  const leftOut: LeftOut[] = items.flatMap(({ name, path, kind }) => {
    if (kind === 'folder') return isHidden(name) ? [{ path, reason: 'hidden folder' }] : [];
    if (isHidden(name) || !(readable.test(name) || otherPicture.test(name))) return [];
    return [{ path, reason: 'picture outside of the class folders' }];
  });
  const found = await Promise.all(
    folders.map(async ({ path }) => {
      const inside: Found = { files: new Map(), leftOut: [], signal };
      await collect(path, inside);
      return inside;
    }),
  );
  const entries = found.flatMap(({ files, leftOut: others }, label) => {
    // Python sorts the folders of os.walk by their paths.
    const paths = [...files].sort(([a], [b]) => compareCodePoints(a, b)).flatMap(([, inside]) => inside);
    if (paths.length === 0) {
      const instead = others.length > 0 ? `, but ${countLeftOut(others)}` : '';
      throw new Error(
        `The class folder ${printable(folders[label]!.path)} holds no JPEG or PNG pictures${instead}; remove it or fill it.`,
      );
    }
    leftOut.push(...others);
    return paths.map((path) => ({ path, label }));
  });
  return {
    classes: folders.map(({ name }) => name),
    entries,
    leftOut,
    async load({ path }, options = {}) {
      try {
        const { size } = await fs.stat(path);
        if (size > MAX_BYTES)
          throw new Error(
            `it has ${size.toLocaleString('en-US')} bytes, more than ${MAX_BYTES.toLocaleString('en-US')}, the limit for a picture`,
          );
        return await decodeImage(await fs.readFile(path, options), { upright, ...options });
      } catch (error) {
        options.signal?.throwIfAborted();
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(printable(`${path}: ${reason}`), { cause: error });
      }
    },
  };
}
