/**
 * Test data: layouts of data folders, with the classes and pictures that torchvision's `ImageFolder` finds in them, and
 * what the command does otherwise.
 *
 * The figures of `ImageFolder` follow from its rules (`find_classes` and `make_dataset` of torchvision 0.20): classes
 * are the folders, by code points; pictures are the files below them with one of nine extensions, links followed.
 */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { encodePng } from '@cnn/image';
import type { PartName } from '../src/training/sources.js';

/** One layout. */
export interface Layout {
  readonly name: string;
  /**
   * Files: `cat/1.png` is a picture, `cat/` an empty folder, `cat/2.png = text` a file without a picture,
   * `pets -> cat` a link, `cat/ !` may not be read. {@link latin1} marks names that are not UTF-8.
   */
  readonly files: readonly string[];
  /** System or user that the layout needs. Default: any. */
  readonly needs?: 'Linux' | 'another user than root';
  readonly options?: { readonly validation?: number; readonly onBadImage?: 'skip' };
  /** Folder of each part that training uses. Default: the data folder for training. */
  readonly parts?: Readonly<Partial<Record<PartName, string>>>;
  /** Result of `ImageFolder` by folder: each class with its pictures, in order, or the start of its error. */
  readonly imageFolder: Readonly<Record<string, string>>;
  /** Our result by part, if it differs from `ImageFolder`'s, and the reason. */
  readonly ours?: Readonly<Partial<Record<PartName, string>>>;
  readonly because?: string;
  /** Part of the error, if training is refused, and the reason if `ImageFolder` has none. */
  readonly refused?: string;
  /** Part that `cnn evaluate` reads, and its pictures, if training is refused. */
  readonly evaluates?: string;
  /** Parts of the notes. Without it nothing is left out. */
  readonly says?: readonly string[];
}

const two = ['cat/1.png', 'cat/2.png', 'dog/1.png'];
const twoFound = 'cat 2, dog 1';
/** Puts files into a folder. */
const under = (folder: string, files: readonly string[] = ['cat/1.png', 'dog/1.png']): string[] =>
  files.map((file) => `${folder}/${file}`);
const oneEach = 'cat 1, dog 1';
/** Marks a path whose characters are its bytes. */
const latin1 = 'latin1:';

const splits: readonly Layout[] = [
  { name: 'class folders', files: two, imageFolder: { '.': twoFound } },
  {
    name: 'train and val',
    files: [...under('train', two), ...under('val')],
    parts: { train: 'train', validation: 'val' },
    imageFolder: { train: twoFound, val: oneEach },
  },
  {
    name: 'train, valid and test',
    files: [
      ...under('test'),
      ...under('train', two),
      ...under('valid', ['cat/1.png', 'dog/1.png', 'dog/2.png']),
    ],
    parts: { train: 'train', validation: 'valid', test: 'test' },
    imageFolder: { train: twoFound, valid: 'cat 1, dog 2', test: oneEach },
    says: ['Evaluating at the end on 2 pictures'],
  },
  {
    name: 'training, validation and testing',
    files: [...under('testing'), ...under('training', two), ...under('validation')],
    parts: { train: 'training', validation: 'validation', test: 'testing' },
    imageFolder: { training: twoFound, validation: oneEach, testing: oneEach },
  },
  {
    name: 'dev for validation, eval for tests',
    files: [...under('dev'), ...under('train', two), ...under('eval')],
    parts: { train: 'train', validation: 'dev', test: 'eval' },
    imageFolder: { train: twoFound, dev: oneEach, eval: oneEach },
  },
  {
    name: 'Train, VAL and Test, in letters of any case',
    files: [...under('Test'), ...under('Train', two), ...under('VAL')],
    parts: { train: 'Train', validation: 'VAL', test: 'Test' },
    imageFolder: { Train: twoFound, VAL: oneEach, Test: oneEach },
  },
  {
    name: 'train and test without a validation part: test pictures are evaluated after each epoch',
    files: [...under('test'), ...under('train', two)],
    parts: { train: 'train', validation: 'test' },
    imageFolder: { train: twoFound, test: oneEach },
    says: ['Evaluating after each epoch on 2 pictures', 'these test pictures also choose'],
  },
  {
    name: 'val and test without a train part',
    files: [...under('test', two), ...under('val')],
    imageFolder: { test: twoFound, val: oneEach },
    refused:
      'has no train part, only test and validation. Put the training pictures in a folder train beside them',
    because: 'ImageFolder is pointed at one folder; here it is not said which',
    evaluates: `test: ${twoFound}`,
  },
  {
    name: 'a test part only',
    files: under('test', two),
    imageFolder: { test: twoFound },
    refused: 'has no train part, only test.',
    because: 'ImageFolder is pointed at one folder; here it is not said which',
    evaluates: `test: ${twoFound}`,
  },
  {
    name: 'a train part only',
    files: under('train', two),
    parts: { train: 'train' },
    imageFolder: { train: twoFound },
  },
  {
    name: 'classes called train and test beside another one',
    files: ['bus/1.png', 'test/1.png', 'train/1.png', 'train/2.png'],
    imageFolder: { '.': 'bus 1, test 1, train 2' },
  },
  {
    name: 'a train folder with class folders beside one of another name',
    files: [...under('images'), ...under('train')],
    imageFolder: { '.': 'images 2, train 2' },
    says: ['The folder train of', 'is taken for a class, because there are others beside it (images)'],
  },
  {
    name: 'train and val beside other folders',
    files: [...under('train', two), ...under('val'), 'notes/', ...under('old')],
    parts: { train: 'train', validation: 'val' },
    imageFolder: { train: twoFound, val: oneEach },
    says: ['2 x folder beside train and val: notes, old'],
  },
  {
    name: 'test pictures without labels, as in competitions',
    files: [...under('train', two), 'test/1.png', 'test/2.png'],
    parts: { train: 'train' },
    imageFolder: { train: twoFound, test: "Couldn't find any class folder" },
    says: ['1 x part without class folders: test'],
  },
  {
    name: 'train and test without class folders',
    files: ['train/1.png', 'test/1.png'],
    imageFolder: { train: "Couldn't find any class folder", test: "Couldn't find any class folder" },
    refused: 'train has no class folders; put the pictures of each class in a folder of its name',
  },
  {
    name: 'two folders for one part',
    files: [...under('train'), ...under('val'), ...under('valid')],
    imageFolder: { train: oneEach, val: oneEach, valid: oneEach },
    refused:
      'has the folders val and valid, and both names stand for the validation part; rename or remove one',
    because: 'one of them would be left out',
  },
  {
    name: 'two folders for one part, in other letters',
    needs: 'Linux',
    files: [...under('train'), ...under('Train')],
    imageFolder: { train: oneEach, Train: oneEach },
    refused: 'has the folders Train and train, and both names stand for the train part',
    because: 'one of them would be left out',
  },
  {
    name: 'a validation part that lacks a class',
    files: [...under('train', two), 'val/dog/1.png'],
    parts: { train: 'train', validation: 'val' },
    imageFolder: { train: twoFound, val: 'dog 1' },
    ours: { validation: 'cat 0, dog 1' },
    because: "ImageFolder's label 0 would be the dog here and the cat in train",
  },
  {
    name: 'a validation part with a class more',
    files: [...under('train', two), ...under('val', ['ape/1.png', 'cat/1.png', 'dog/1.png'])],
    imageFolder: { train: twoFound, val: 'ape 1, cat 1, dog 1' },
    refused: 'The folder val of {data} has classes that train lacks: ape; train has cat, dog.',
    because: 'its labels would be others than those of train',
    evaluates: 'validation: ape 1, cat 1, dog 1',
  },
  {
    name: 'one folder around all',
    files: [...under('pets/train', two), ...under('pets/val')],
    imageFolder: { '.': 'pets 5' },
    says: ['There is only one class, pets, so every answer is right'],
  },
  {
    name: 'a share held back from each class',
    files: [...two, 'dog/2.png', 'ape/1.png'],
    options: { validation: 0.5 },
    parts: { train: '.', validation: '.' },
    imageFolder: { '.': 'ape 1, cat 2, dog 2' },
    ours: { train: 'ape 1, cat 1, dog 1', validation: 'ape 0, cat 1, dog 1' },
    because: 'ImageFolder holds nothing back; a class of one picture keeps it',
    says: ['held back (--validation 0.5)'],
  },
];

const links: readonly Layout[] = [
  {
    name: 'class folders and pictures that are links',
    files: [
      'elsewhere/cat/1.png',
      'data/cat -> ../elsewhere/cat',
      'data/dog/1.png',
      'data/dog/2.png -> 1.png',
    ],
    parts: { train: 'data' },
    imageFolder: { data: 'cat 1, dog 2' },
  },
  {
    name: 'a link from one class to another',
    files: [...two, 'cat/more -> ../dog'],
    imageFolder: { '.': 'cat 3, dog 1' },
  },
  {
    name: 'links to nothing',
    files: [...two, 'cat/3.png -> nothing.png', 'eel -> nothing'],
    imageFolder: { '.': 'cat 3, dog 1' },
    ours: { train: twoFound },
    because: 'ImageFolder lists the link, and fails when it loads the picture',
    says: [`2 x link to nothing, or device: eel, cat/3.png`],
  },
  {
    name: 'links in a circle',
    files: [...two, 'cat/up -> ..'],
    imageFolder: { '.': 'cat 122, dog 1' },
    ours: { train: twoFound },
    because: 'os.walk follows them until the system refuses, 40 links deep',
    says: ['1 x link to a folder above: cat/up'],
  },
];

const contents: readonly Layout[] = [
  {
    name: 'pictures one and two levels deeper',
    files: ['cat/1.png', 'cat/a/1.png', 'cat/a/b/1.png', 'dog/a/b/1.png'],
    imageFolder: { '.': 'cat 3, dog 1' },
  },
  {
    name: 'hidden folders beside the classes',
    files: [...two, '.ipynb_checkpoints/1-checkpoint.png', '__MACOSX/cat/._1.png', '.git/index'],
    imageFolder: { '.': 'Found no valid file for the classes .git.' },
    ours: { train: twoFound },
    because: 'no one has made them by hand: they are no classes',
    says: ['3 x hidden folder: .git, .ipynb_checkpoints, __MACOSX'],
  },
  {
    name: 'hidden files and folders in a class',
    files: [...two, 'cat/.ipynb_checkpoints/1-checkpoint.png', 'cat/._1.png = AppleDouble'],
    imageFolder: { '.': 'cat 4, dog 1' },
    ours: { train: twoFound },
    because: 'they are copies, and no pictures',
    says: ['1 x hidden file: cat/._1.png', '1 x hidden folder: cat/.ipynb_checkpoints'],
  },
  {
    name: 'extensions in letters of any case',
    files: ['cat/1.JPG', 'cat/2.jpeg', 'cat/3.PNG', 'cat/4.Jpg', 'dog/1.JPEG'],
    imageFolder: { '.': 'cat 4, dog 1' },
  },
  {
    name: 'other formats beside PNG',
    files: [...two, ...under('cat', ['3.webp', '4.WEBP', '5.bmp', '6.tif', '7.ppm', '8.gif', '9.heic'])],
    imageFolder: { '.': 'cat 7, dog 1' },
    ours: { train: twoFound },
    because: 'only JPEG and PNG are decoded; ImageFolder leaves out GIF and HEIC',
    says: ['2 x .webp picture: cat/3.webp, cat/4.WEBP', '1 x .gif picture: cat/8.gif', '1 x .bmp picture'],
  },
  {
    name: 'a class of WebP only',
    files: ['cat/1.png', 'dog/1.webp', 'dog/2.webp'],
    imageFolder: { '.': 'cat 1, dog 2' },
    refused:
      'The class folder dog (but 2 .webp pictures) of {data} holds no JPEG or PNG pictures; remove or fill it.',
    because: 'WebP is not decoded',
  },
  {
    name: 'stray files',
    files: [
      ...two,
      'README.md',
      'Thumbs.db',
      '.DS_Store',
      'labels.csv',
      'cat/README',
      'cat/Thumbs.db',
      'cat/.DS_Store',
      'dog/png',
    ],
    imageFolder: { '.': twoFound },
    says: [
      '2 x other file: cat/README, dog/png',
      '1 x .db file: cat/Thumbs.db',
      '1 x hidden file: cat/.DS_Store',
    ],
  },
  {
    name: 'pictures beside the class folders',
    files: [...two, '0.png', 'cover.webp'],
    imageFolder: { '.': twoFound },
    says: ['2 x picture outside of the class folders: 0.png, cover.webp'],
  },
  {
    name: 'folders called like pictures',
    files: [...two, 'cat/x.png/', 'dog/y.png/1.png'],
    imageFolder: { '.': 'cat 2, dog 2' },
  },
  {
    name: 'empty class folders',
    files: [...two, 'ape/', 'eel/notes.txt'],
    imageFolder: { '.': 'Found no valid file for the classes ape, eel.' },
    refused:
      'The class folders ape, eel (but 1 .txt file) of {data} hold no JPEG or PNG pictures; remove or fill them.',
  },
  {
    name: 'an empty folder',
    files: ['/'],
    imageFolder: { '.': "Couldn't find any class folder" },
    refused: '{data} holds no data of a known kind. Looked for: the four files of MNIST',
  },
  {
    name: 'a folder that may not be read',
    needs: 'another user than root',
    files: [...two, 'dog/ !'],
    imageFolder: { '.': 'Found no valid file for the classes dog.' },
    refused: 'Cannot list the folder {data}/dog: EACCES: permission denied',
  },
  {
    name: 'a picture that may not be read',
    needs: 'another user than root',
    files: [...two, 'dog/1.png !'],
    imageFolder: { '.': twoFound },
    refused:
      '1 of 3 pictures cannot be read. Mend or remove it, or add --on-bad-image skip, which leaves it out:\n  {data}/dog/1.png: EACCES: permission denied',
    because: 'ImageFolder lists it, and fails when it loads the picture',
  },
  {
    name: 'damaged and empty pictures',
    files: [...two, 'cat/3.png = no picture', 'dog/2.jpg = '],
    imageFolder: { '.': 'cat 3, dog 2' },
    refused:
      '2 of 5 pictures cannot be read. Mend or remove them, or add --on-bad-image skip, which leaves them out:\n  {data}/cat/3.png: Not a readable picture',
    because: 'ImageFolder lists them, and fails when it loads them',
  },
  {
    name: 'damaged pictures that are skipped',
    files: [...two, 'cat/3.png = no picture'],
    options: { onBadImage: 'skip' },
    imageFolder: { '.': 'cat 3, dog 1' },
    ours: { train: twoFound },
    because: 'ImageFolder lists them, and fails when it loads them',
    says: ['1 picture could not be read and is left out:\n  {data}/cat/3.png: Not a readable picture'],
  },
  {
    name: 'a class of damaged pictures that are skipped',
    files: [...two, 'eel/3.png = no picture'],
    options: { onBadImage: 'skip' },
    imageFolder: { '.': 'cat 2, dog 1, eel 1' },
    refused:
      'no picture of the class eel can be read; the first that failed: {data}/eel/3.png: Not a readable picture',
    because: 'ImageFolder lists them, and fails when it loads them',
  },
  {
    name: 'one class only',
    files: ['cat/1.png', 'cat/2.png'],
    imageFolder: { '.': 'cat 2' },
    says: ['There is only one class, cat, so every answer is right'],
  },
  {
    name: 'one picture per class, of which none can be held back',
    files: ['cat/1.png', 'dog/1.png'],
    options: { validation: 0.2 },
    imageFolder: { '.': oneEach },
    refused: 'No class in {data} has two pictures, so none can be held back for evaluation',
    because: 'ImageFolder holds nothing back',
    evaluates: `train: ${oneEach}`,
  },
];

const names: readonly Layout[] = [
  {
    name: 'the order of classes is that of code points, not of UTF-16 units, letters or numbers',
    files: ['\u{1F600}', '\u{FF21}', 'b', 'B', 'a', '10', '2', 'é'].map((name) => `${name}/1.png`),
    imageFolder: { '.': '10 1, 2 1, B 1, a 1, b 1, é 1, \u{FF21} 1, \u{1F600} 1' },
  },
  {
    name: 'a name in composed and in decomposed characters',
    needs: 'Linux',
    files: ['caf\u{e9}/1.png', 'cafe\u{301}/1.png', 'cafe\u{301}/2.png'],
    imageFolder: { '.': 'cafe\u{301} 2, caf\u{e9} 1' },
  },
  {
    name: 'a validation part whose names have decomposed characters',
    needs: 'Linux',
    files: ['train/caf\u{e9}/1.png', 'train/dog/1.png', 'val/cafe\u{301}/1.png'],
    imageFolder: { train: 'caf\u{e9} 1, dog 1', val: 'cafe\u{301} 1' },
    refused:
      'has classes that train lacks: cafe\u{301}; train has caf\u{e9}, dog. The names cafe\u{301} look alike, but are different Unicode characters',
    because: 'its labels would be others than those of train',
    evaluates: 'validation: cafe\u{301} 1',
  },
  {
    name: 'names with spaces, commas and signs',
    files: ['a b/1 2.png', 'c, d/1.png', '50%/#1?.png', "it's/1.png", '-x/--y.png'],
    needs: 'Linux',
    imageFolder: { '.': "-x 1, 50% 1, a b 1, c, d 1, it's 1" },
  },
  {
    name: 'names with control characters',
    needs: 'Linux',
    files: ['a\ncnn: done/1.png', 'b\x1b]0;x\x07/1.png', 'b\x1b]0;x\x07/\x1b[2J.webp'],
    imageFolder: { '.': 'a\ncnn: done 1, b\x1b]0;x\x07 2' },
    ours: { train: 'a\ncnn: done 1, b\x1b]0;x\x07 1' },
    because: 'WebP is not decoded',
    says: [
      'in 2 classes (a\\ncnn: done 1, b\\x1b]0;x\\x07 1)',
      '1 x .webp picture: b\\x1b]0;x\\x07/\\x1b[2J.webp',
    ],
  },
  {
    name: 'an empty class folder whose name has control characters',
    needs: 'Linux',
    files: ['a/1.png', 'b\ncnn: done/'],
    imageFolder: { '.': 'Found no valid file for the classes b' },
    refused: 'The class folder b\\ncnn: done of',
  },
  {
    name: 'pictures and folders whose names are not UTF-8',
    needs: 'Linux',
    files: [...two, `${latin1}cat/caf\xe9.png`, `${latin1}cat/\xfc/1.png`],
    imageFolder: { '.': 'cat 4, dog 1' },
    ours: { train: twoFound },
    because: 'Node cannot open them by a text',
    says: [
      '1 x file whose name is not UTF-8: cat/caf\ufffd.png',
      '1 x folder whose name is not UTF-8: cat/\ufffd',
    ],
  },
  {
    name: 'a class folder whose name is not UTF-8',
    needs: 'Linux',
    files: [...two, `${latin1}caf\xe9/1.png`],
    imageFolder: { '.': 'caf\udce9 1, cat 2, dog 1' },
    refused:
      'The name of the class folder {data}/caf\ufffd is not UTF-8, and cannot name a class; rename it.',
    because: 'Node cannot open it by a text, and a class must not vanish',
  },
];

/** All layouts. */
export const layouts: readonly Layout[] = [...splits, ...links, ...contents, ...names];

const picture = encodePng({ width: 2, height: 2, data: new Uint8Array(12) });

/** Makes the files of a layout in a folder. @returns a function that makes all of them readable again. */
export function makeLayout(folder: string, { files }: Layout): () => void {
  mkdirSync(folder, { recursive: true });
  const locked: string[] = [];
  for (const file of files) {
    const [, text, content, target, lock] = /^(.*?)(?: = (.*)| -> (.*)| (!))?$/s.exec(file)!;
    const path = pathOf(folder, text!);
    const parent = path.subarray(0, path.lastIndexOf('/'));
    mkdirSync(parent, { recursive: true });
    if (lock) locked.push(String(path));
    else if (target !== undefined) symlinkSync(target, path);
    else if (!text!.endsWith('/')) writeFileSync(path, content ?? picture);
  }
  for (const path of locked) chmodSync(path, 0);
  return () => {
    for (const path of locked) chmodSync(path, 0o755);
  };
}

/** Gives the path of a file as bytes. */
function pathOf(folder: string, file: string): Buffer {
  const bytes = file.startsWith(latin1)
    ? Buffer.from(file.slice(latin1.length), 'latin1')
    : Buffer.from(file);
  return Buffer.concat([Buffer.from(`${folder}/`), bytes]);
}
