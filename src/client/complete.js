/* Tells the window that opened or framed this page how the upload ended. ES5, so that old browsers parse it. */
(function () {
  'use strict';
  var result = document.getElementById('result');
  var receiver = window.opener || (window.parent !== window ? window.parent : null);
  if (!result || !receiver || !receiver.postMessage) return;
  var data = result.getAttribute('data-upload');
  // Text, not an object: the oldest browsers that have postMessage pass nothing else. Without a known origin only our own pages may hear of it.
  var own = window.location.protocol + '//' + window.location.host;
  var origin = result.getAttribute('data-origin') || own;
  receiver.postMessage('{"type":"postern","upload":' + (data || 'null') + '}', origin);
})();
