/*
 * Postern's browser client: uploads a file to S3, directly or through Postern.
 *
 *   Postern.upload(fileOrInput, options) -> { cancel: function, promise: Promise (where the browser has Promise) }
 *
 * fileOrInput  a File or a Blob, or an <input type="file"> (its first file; required in browsers without File)
 * options      endpoint        where forms are signed (default: /v1/uploads of the server that this script came from)
 *              profile, metadata, returnTo     sent to the endpoint
 *              headers         request headers for the endpoint, e.g. { 'X-CSRF-Token': '...' }
 *              withCredentials send cookies to the endpoint
 *              way             'auto' (default), 'direct' or 'fallback'
 *              transport       'auto' (default), 'xhr' or 'iframe'
 *              retries         how often a failure that may pass is retried (3)
 *              timeout         ms until an upload by iframe fails (one hour)
 *              patience        ms that the direct upload has for its first bytes; then the fallback is used (15000)
 *              onSigned(form), onWay(way, reason), onProgress({ loaded, total, way }), onRetry(attempt, error),
 *              onComplete(upload), onError(error { code, message, status, retryable })
 *
 * README.md in this folder describes each of them.
 *
 * The same form works on both ways: direct (browser to S3) and fallback (browser to Postern to S3). When the direct upload gets no answer (no CORS rule,
 * or a network that blocks S3), the client first asks Postern whether the object exists, and then sends the same form to the fallback. A missing CORS rule
 * costs one preflight and no upload: a listener on upload progress makes browsers send a preflight. ES5 without a build step, so that old browsers parse it.
 */
(function (root) {
  'use strict';

  var script = root.document && (document.currentScript || (function () {
    var all = document.getElementsByTagName('script');
    return all[all.length - 1];
  })());
  var home = script && script.src ? script.src.replace(/^(https?:\/\/[^\/]+).*$/, '$1') : '';
  if (!/^https?:/.test(home)) home = '';

  var DIRECT_PAUSE = 5 * 60 * 1000; // after a direct upload to a store failed, the fallback is used for so long
  var directFailures = {};          // by URL of the store: { at: when it failed, why: a sentence }

  // Says to Postern that the file is the last part of the form, so that its size is known before it comes. S3 ignores the field.
  var PROMISE = { name: 'x-ignore-nothing-follows', value: 'true' };

  // Some stores answer a code without a message. These messages stand in.
  var MESSAGES = {
    AccessDenied: 'The store refuses this form: a field is not as it was signed, or the form has expired.',
    EntityTooLarge: 'The file is larger than is allowed here.',
    EntityTooSmall: 'The file is smaller than is allowed here.',
    InvalidAccessKeyId: 'The store does not know the key that signed this form.',
    SignatureDoesNotMatch: 'The store does not accept the signature of this form.',
    NoSuchBucket: 'The store has no such bucket.'
  };

  function nothing() {}

  function parse(text) {
    try {
      return JSON.parse(text);
    } catch (e) {
      return null;
    }
  }

  function failure(code, message, status, retryable) {
    var e = new Error(message);
    e.code = code;
    e.status = status || 0;
    e.retryable = !!retryable;
    return e;
  }

  // The error in a response: problem+json from Postern, XML from S3 and from the fallback.
  function failureOf(xhr, what) {
    var text = '';
    try {
      text = xhr.responseText || '';
    } catch (e) {} // the response is no text
    var json = parse(text);
    var code = json && (json.code || json.Code), message = json && (json.detail || json.title || json.Message); // Ceph sends errors as JSON when the request accepts JSON
    if (!json) {
      var found = /<Code>([^<]*)<\/Code>/.exec(text);
      code = found && found[1];
      found = /<Message>([^<]*)<\/Message>/.exec(text);
      message = found && found[1].replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&amp;/g, '&');
    }
    var status = xhr.status;
    var retryable = status === 0 || status === 408 || status === 429 || status >= 500;
    if (code === 'quota_exceeded') retryable = false; // there is room when other uploads end, or tomorrow
    var e = failure(code || (status ? 'http_' + status : 'network'), message || MESSAGES[code] || (status ? what + ' was answered ' + status : what + ' could not be reached'), status, retryable);
    var after = status && xhr.getResponseHeader('Retry-After');
    if (after && /^\d+$/.test(after)) e.after = Number(after) * 1000;
    return e;
  }

  function Upload(file, input, options) {
    this.file = file;
    this.input = input;
    this.options = options;
    this.attempt = 0;
    this.over = false;
    this.timers = [];
  }

  Upload.prototype.call = function (name, a, b) {
    (this.options[name] || nothing)(a, b);
  };

  Upload.prototype.later = function (ms, f) {
    var self = this;
    this.timers.push(setTimeout(function () {
      if (!self.over) f.call(self);
    }, ms));
  };

  Upload.prototype.finish = function (error, upload) {
    if (this.over) return;
    this.over = true;
    for (var i = 0; i < this.timers.length; i++) clearTimeout(this.timers[i]);
    if (this.cleanUp) this.cleanUp();
    if (error) {
      this.call('onError', error);
      if (this.reject) this.reject(error);
    } else {
      this.call('onComplete', upload);
      if (this.resolve) this.resolve(upload);
    }
  };

  Upload.prototype.cancel = function () {
    var xhr = this.xhr;
    this.finish(failure('cancelled', 'The upload was cancelled.'));
    if (xhr) xhr.abort();
  };

  Upload.prototype.request = function (method, url, headers, body, done) {
    var self = this, xhr = this.xhr = new XMLHttpRequest();
    xhr.open(method, url, true);
    for (var name in headers) if (Object.prototype.hasOwnProperty.call(headers, name)) xhr.setRequestHeader(name, headers[name]);
    xhr.onreadystatechange = function () {
      if (xhr.readyState !== 4 || self.over) return;
      self.xhr = null;
      done.call(self, xhr);
    };
    return { xhr: xhr, send: function () { xhr.send(body); } };
  };

  // Retries with backoff. Fails when the error will not pass or no retry is left.
  Upload.prototype.retry = function (error, step) {
    var max = this.options.retries === undefined ? 3 : this.options.retries;
    if (!error.retryable || this.attempt >= max) return this.finish(error);
    this.attempt += 1;
    this.call('onRetry', this.attempt, error);
    var wait = error.after || Math.min(30000, 500 * Math.pow(2, this.attempt)) * (0.5 + Math.random());
    this.later(wait, step);
  };

  // --- signing --------------------------------------------------------------------------------------

  Upload.prototype.sign = function () {
    var o = this.options, ask = { filename: this.name() };
    if (o.profile) ask.profile = o.profile;
    if (o.metadata) ask.metadata = o.metadata;
    if (o.returnTo) ask.return_to = o.returnTo;
    if (this.file) {
      ask.size = this.file.size;
      if (this.file.type) ask.content_type = this.file.type;
    }
    var headers = { 'Content-Type': 'application/json', Accept: 'application/json' };
    for (var name in o.headers || {}) if (Object.prototype.hasOwnProperty.call(o.headers, name)) headers[name] = o.headers[name];
    var r = this.request('POST', o.endpoint || home + '/v1/uploads', headers, JSON.stringify(ask), function (xhr) {
      var form = xhr.status === 201 && parse(xhr.responseText);
      if (!form) return this.retry(failureOf(xhr, 'Signing'), this.sign);
      this.form = form;
      this.call('onSigned', form);
      this.send(this.chooseWay());
    });
    if (o.withCredentials) r.xhr.withCredentials = true;
    r.send();
  };

  Upload.prototype.name = function () {
    if (this.file) return this.file.name || 'file';
    return (this.input.value || 'file').replace(/^.*[\/\\]/, '');
  };

  // --- the two ways ---------------------------------------------------------------------------------

  Upload.prototype.chooseWay = function () {
    var form = this.form, wish = this.options.way || 'auto';
    if (form.url === form.fallback_url) return { name: 'fallback', reason: 'there is no direct upload' };
    if (wish === 'fallback') return { name: 'fallback', reason: 'asked for' };
    var failed = directFailures[form.url];
    if (wish === 'auto' && failed && new Date().getTime() - failed.at < DIRECT_PAUSE) return { name: 'fallback', reason: failed.why + ', as was seen a moment ago' };
    return { name: 'direct', reason: wish === 'direct' ? 'asked for' : 'tried first' };
  };

  // Called when the direct upload failed. `forAll`: it will fail for other files too. Returns whether the fallback is tried.
  Upload.prototype.tryFallback = function (why, forAll) {
    if (this.way !== 'direct') return false;
    if (forAll) directFailures[this.form.url] = { at: new Date().getTime(), why: why };
    if ((this.options.way || 'auto') !== 'auto') return false;
    this.send({ name: 'fallback', reason: why });
    return true;
  };

  Upload.prototype.send = function (way) {
    this.way = way.name;
    this.call('onWay', way.name, way.reason);
    var url = way.name === 'direct' ? this.form.url : this.form.fallback_url;
    var able = root.FormData && this.file && 'upload' in new XMLHttpRequest();
    var how = this.options.transport || 'auto';
    if (how === 'iframe' || (how === 'auto' && !able)) this.sendByFrame(url);
    else this.sendByRequest(url);
  };

  Upload.prototype.sendByRequest = function (url) {
    var self = this, data = new FormData(), fields = this.form.fields;
    for (var name in fields) if (Object.prototype.hasOwnProperty.call(fields, name)) data.append(name, fields[name]);
    data.append(PROMISE.name, PROMISE.value);
    // The key names the object. The file's own name is sent only when the key needs it, because some stores misread ; = and " in it.
    data.append('file', this.file, /\$\{filename\}/.test(fields.key) ? this.name() : 'file');
    var r = this.request('POST', url, { Accept: 'application/json' }, data, this.answered);
    this.begun = false; // true once a byte was sent
    r.xhr.upload.onprogress = function (e) {
      self.begun = true;
      if (!self.over && e.lengthComputable) self.call('onProgress', { loaded: Math.min(e.loaded, self.file.size), total: self.file.size, way: self.way });
    };
    r.send();
    // A network that drops packets to the store would keep the browser waiting for minutes.
    if (this.way === 'direct' && (this.options.way || 'auto') === 'auto') this.later(this.options.patience || 15000, function () {
      if (!this.begun && this.xhr === r.xhr) r.xhr.abort(); // continues in noAnswer()
    });
  };

  Upload.prototype.answered = function (xhr) {
    if (xhr.status === 202) return this.watch(0);
    if (xhr.status >= 200 && xhr.status < 300) {
      var upload = parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      return this.complete(); // the form has success_action_status: the client calls complete_url
    }
    if (xhr.status === 0) return this.noAnswer();
    var error = failureOf(xhr, 'The upload');
    if (/expired/i.test(error.message) && !this.signedAgain) {
      this.signedAgain = true; // the form expired before its upload began: sign once more
      return this.sign();
    }
    this.retry(error, function () { this.send({ name: this.way, reason: 'again' }); });
  };

  Upload.prototype.complete = function () {
    this.request('GET', this.form.complete_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (xhr.status === 202 || (upload && upload.state === 'checking')) return this.watch(0);
      if (upload) return this.finish(null, upload);
      this.retry(failureOf(xhr, 'The completion'), this.complete);
    }).send();
  };

  // The script can read no answer. The network failed, a CORS rule is missing, or the upload succeeded and its answer was lost. Asking is cheaper than
  // sending twice. complete_url makes Postern ask the store, because only the store knows about a direct upload.
  Upload.prototype.noAnswer = function () {
    this.request('GET', this.form.complete_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      if (upload && upload.state === 'checking') return this.watch(0);
      var lost = failure('network', 'The connection was closed early.', 0, true);
      if (xhr.status === 0 || xhr.status === 202 || xhr.status === 429 || xhr.status >= 500) return this.retry(lost, this.noAnswer); // still unknown
      this.explain(function (why) {
        if (!this.tryFallback(why, true)) this.retry(lost, function () { this.send({ name: this.way, reason: 'again' }); });
      });
    }).send();
  };

  // Browsers hide from scripts why a request failed. A request in mode no-cors needs no CORS rule: if it succeeds, the CORS rule is what is missing.
  Upload.prototype.explain = function (done) {
    var self = this, told = false;
    function tell(why) {
      if (!told && !self.over) done.call(self, why);
      told = true;
    }
    if (this.way !== 'direct') return tell('');
    if (this.begun) return tell('the store\u2019s answer did not get through');
    if (!root.fetch) return tell('the store cannot be reached from this page');
    root.fetch(this.form.url, { mode: 'no-cors', credentials: 'omit', cache: 'no-store' }).then(function () {
      tell('the store has no CORS rule for this page');
    }, function () {
      tell('the store cannot be reached from here');
    });
    this.later(3000, function () { tell('the store cannot be reached from here'); });
  };

  // Polls the upload's state until it is final.
  Upload.prototype.watch = function (asked) {
    this.request('GET', this.form.status_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      // While the frame is sending, a failure is that of an earlier connection.
      if (upload && (/^(expired|rejected|removing|removed)$/.test(upload.state) || (upload.state === 'failed' && !this.sending))) return this.finish(failure(upload.code || upload.state, 'The state of the upload is: ' + upload.state + '.', 0, false));
      this.later(Math.min(15000, 500 * Math.pow(1.5, asked)), function () { this.watch(asked + 1); });
    }).send();
  };

  // --- a form in a hidden iframe, for browsers without FormData ---------------------------------------

  Upload.prototype.sendByFrame = function (url) {
    if (!this.input) return this.finish(failure('unsupported', 'This browser can upload a file only from an <input type="file">.'));
    if (this.cleanUp) this.cleanUp(); // after the direct upload
    var self = this, name = 'postern-' + String(Math.random()).slice(2), box = document.createElement('div');
    box.style.display = 'none';
    box.innerHTML = '<iframe name="' + name + '" title="upload"></iframe>'; // innerHTML, because old Internet Explorer ignores a name that is set later
    var form = document.createElement('form');
    form.action = url;
    form.method = 'POST';
    form.enctype = form.encoding = 'multipart/form-data';
    form.target = name;
    function addField(field, value) {
      var hidden = document.createElement('input');
      hidden.type = 'hidden';
      hidden.name = field;
      hidden.value = value;
      form.appendChild(hidden);
    }
    for (var field in this.form.fields) if (Object.prototype.hasOwnProperty.call(this.form.fields, field)) addField(field, this.form.fields[field]);
    addField(PROMISE.name, PROMISE.value);
    // The input itself moves into the form, because a script cannot copy a chosen file. A clone keeps its place in the page.
    var input = this.input, place = input.cloneNode(false), named = input.name;
    input.parentNode.insertBefore(place, input);
    input.name = 'file';
    form.appendChild(input);
    box.appendChild(form);
    document.body.appendChild(box);
    var frame = box.firstChild;

    // Any window may post messages to this page. Only Postern's page, in this frame, says what became of the upload.
    function told(e) {
      if (e.source !== frame.contentWindow || e.origin !== originOf(self.form.complete_url)) return;
      var message = typeof e.data === 'string' && parse(e.data), upload = message && message.type === 'postern' && message.upload;
      if (!upload) return;
      if (upload.state === 'completed' && upload.id === self.form.id) self.finish(null, upload);
      else if (upload.code) self.finish(failure(upload.code, upload.detail, upload.status, false));
    }
    this.cleanUp = function () {
      frame.onload = null;
      if (root.removeEventListener) root.removeEventListener('message', told, false);
      input.name = named;
      if (place.parentNode) place.parentNode.replaceChild(input, place);
      if (box.parentNode) box.parentNode.removeChild(box); // ends a request in flight
    };
    if (root.addEventListener) root.addEventListener('message', told, false);
    this.later(this.options.timeout || 3600000, function () { this.finish(failure('timed_out', 'The upload took too long.', 0, false)); });
    // A page has loaded. Postern's own page posts a message; the application's page (returnTo) and an error page do not.
    frame.onload = function () {
      try {
        if (frame.contentWindow.location.href === 'about:blank') return; // some browsers report the empty frame too
      } catch (e) {} // the page is of another origin
      self.sending = false;
      self.later(500, function () { this.askForFrame(frame); });
    };
    this.sending = true;
    form.submit();
    if (this.watching) return; // one poll serves both ways
    this.watching = true;
    this.later(1000, function () { this.watch(0); });
  };

  Upload.prototype.askForFrame = function (frame) {
    this.request('GET', this.form.complete_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      if (upload && upload.state === 'checking') return; // watch() goes on
      if (xhr.status === 0 || xhr.status === 202 || xhr.status === 429 || xhr.status >= 500) return; // here too
      if (!this.tryFallback('the store did not take the form', false)) this.finish(refusalIn(frame));
    }).send();
  };

  // The origin of an absolute URL as browsers write it: in lower case, without the port that the scheme implies.
  function originOf(url) {
    var origin = (/^https?:\/\/[^\/?#]+/i.exec(url) || [''])[0].toLowerCase();
    return origin.replace(/^(http:.*):80$|^(https:.*):443$/, '$1$2');
  }

  // The error that the page in the iframe shows. S3's page is of another origin and cannot be read; the fallback's can be, from pages of Postern's origin.
  function refusalIn(frame) {
    var code = '', message = '';
    try {
      var page = frame.contentWindow.document;
      code = page.getElementsByTagName('Code')[0].textContent;
      message = page.getElementsByTagName('Message')[0].textContent;
    } catch (e) {} // of another origin, or no error page
    return failure(code || 'refused', message || MESSAGES[code] || 'The upload was refused. The reason cannot be read from an iframe.', 0, false);
  }

  // --- the one function -------------------------------------------------------------------------------

  function upload(what, options) {
    var input = what && what.tagName === 'INPUT' ? what : null;
    var file = input ? input.files && input.files[0] : what;
    var one = new Upload(file || null, input, options || {});
    var handle = { cancel: function () { one.cancel(); } };
    if (root.Promise) {
      handle.promise = new root.Promise(function (resolve, reject) {
        one.resolve = resolve;
        one.reject = reject;
      });
      handle.promise['catch'](nothing); // a page that uses only onError must get no unhandled rejection
    }
    setTimeout(function () {
      if (one.over) return;
      if (!file && !(input && input.value)) one.finish(failure('no_file', 'No file was chosen.'));
      else one.sign();
    }, 0);
    return handle;
  }

  root.Postern = { upload: upload };
})(typeof globalThis !== 'undefined' ? globalThis : window);
