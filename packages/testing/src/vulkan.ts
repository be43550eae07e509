/** Finds what WebGPU in Node needs where there is no GPU: the Vulkan in software that every Chromium brings along. */
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { FoundBrowser } from './browser.js';

/** The environment in which the package `webgpu` finds SwiftShader; undefined where no Chromium has it beside it. */
export function softwareVulkan(browser: FoundBrowser | undefined): Record<string, string> | undefined {
  const folders = [...(browser ? [dirname(browser.executablePath)] : []), '/usr/lib/chromium'];
  const folder = folders.find((path) =>
    ['libvulkan.so.1', 'vk_swiftshader_icd.json'].every((file) => existsSync(join(path, file))),
  );
  if (!folder) return undefined;
  return {
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter),
  };
}
