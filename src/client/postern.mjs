// postern.js as a module: import Postern from '/postern.mjs'
import './postern.js';
export default globalThis.Postern;
export const upload = globalThis.Postern.upload;
