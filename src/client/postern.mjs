// postern.js for those who import: import Postern from '/postern.mjs'
import './postern.js';
export default globalThis.Postern;
export const upload = globalThis.Postern.upload;
