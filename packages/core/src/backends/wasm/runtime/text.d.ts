/** Types of the imports that the build replaces by the text of a bundle; see `scripts/moduleText.mjs`. */
declare module '*?text' {
  const text: string;
  export default text;
}
