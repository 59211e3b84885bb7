/*
 * Postern's browser client: uploads a file to S3, directly or through Postern. README.md in src/client describes it.
 *
 *   Postern.upload(fileOrInput, options) -> { cancel, pause, resume: functions, promise: Promise (where the browser has Promise) }
 *
 * The server says which ways to the store there are: the S3 form, a presigned PUT, presigned parts of a large file, a resumable upload through Postern,
 * and the fallback, which is the S3 form through Postern. The client takes them in that order, goes on after a break, and trusts only Postern's completion.
 * A missing CORS rule costs one preflight and no upload: a listener on upload progress makes browsers send a preflight. ES5 without a dependency, so that
 * old browsers parse it.
 */
(function (root) {
  'use strict';

  // The build replaces each line that begins with //= by the file of that name.
  //= postern/page.js
  //= postern/failure.js
  //= postern/crc32c.js
  //= postern/checksum.js
  //= postern/line.js
  //= postern/queue.js
  //= postern/upload.js
  //= postern/request.js
  //= postern/saved.js
  //= postern/sign.js
  //= postern/ways.js
  //= postern/whole.js
  //= postern/resumable.js
  //= postern/parts.js
  //= postern/lanes.js
  //= postern/frame.js
  //= postern/completion.js
  //= postern/api.js

  // The page starts this script once more as a worker that computes checksums.
  if (!root.document && root.location && root.location.hash === WORKER) serveChecksums(root, makeCrc32c, crcToBase64);
  else root.Postern = { upload: upload };
})(typeof globalThis !== 'undefined' ? globalThis : typeof window !== 'undefined' ? window : self);
