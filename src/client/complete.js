/* Posts the result of the upload to the window that opened or framed this page. ES5, so that old browsers parse it. */
(function () {
  'use strict';
  var result = document.getElementById('result');
  var receiver = window.opener || (window.parent !== window ? window.parent : null);
  if (!result || !receiver || !receiver.postMessage) return;
  var data = result.getAttribute('data-upload');
  // A string, because the oldest browsers with postMessage pass nothing else. Without a known origin, only pages of this origin receive it.
  var own = window.location.protocol + '//' + window.location.host;
  var origin = result.getAttribute('data-origin') || own;
  receiver.postMessage('{"type":"postern","upload":' + (data || 'null') + '}', origin);
})();
