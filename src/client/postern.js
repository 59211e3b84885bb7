/*
 * Postern's browser client: gets a file into storage, whatever stands in the way.
 *
 *   Postern.upload(fileOrInput, options) -> { cancel: function, promise: Promise where there is one }
 *
 * fileOrInput  a File or Blob, or an <input type="file"> (its first file; needed where the browser has no File)
 * options      endpoint        where forms are signed ('/v1/uploads' of the server that this script came from)
 *              profile, metadata, returnTo     passed on to signing
 *              headers         for signing, e.g. { Authorization: 'Bearer ...' }
 *              withCredentials cookies go with signing
 *              door            'auto' (default), 'direct' or 'fallback'
 *              transport       'auto' (default), 'xhr' or 'iframe'
 *              retries         further tries after a failure that may pass (3)
 *              timeout         ms after which the iframe path gives up (one hour)
 *              patience        ms that the direct door has for its first bytes before the other one is tried (15000)
 *              onSigned(form), onDoor(door, reason), onProgress({ loaded, total, door }), onRetry(attempt, error),
 *              onComplete(upload), onError(error { code, message, status, retryable })
 *
 * The form is the same for both doors: straight to S3, or through Postern. Where the direct one fails without an answer (no CORS rule, a network that
 * blocks it), the same form goes to the other, after the store has been asked whether the first had worked after all. A bucket without a CORS rule costs
 * no more than a preflight: because progress is listened to, browsers ask before they send. ES5 without a build step, so that old browsers parse it.
 */
(function (root) {
  'use strict';

  var script = root.document && (document.currentScript || (function () {
    var all = document.getElementsByTagName('script');
    return all[all.length - 1];
  })());
  var home = script && script.src ? script.src.replace(/^(https?:\/\/[^\/]+).*$/, '$1') : '';
  if (!/^https?:/.test(home)) home = '';

  var DIRECT_REST = 5 * 60 * 1000; // how long a direct door that failed is left alone
  var directShut = {};             // by address of the door: { at: when it failed, why: a sentence }

  // For refusals that say no more than a code, as some stores do.
  var plainly = {
    AccessDenied: 'The store refuses this form: a field is not as it was signed, or it came too late.',
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

  // What an answer that is no success says: problem+json from Postern, XML from S3 and from the fallback.
  function failureOf(xhr, what) {
    var text = '';
    try {
      text = xhr.responseText || '';
    } catch (e) {} // a response of another type
    var json = parse(text);
    var code = json && (json.code || json.Code), message = json && (json.detail || json.title || json.Message); // Ceph answers its errors as JSON where that is asked for
    if (!json) {
      var found = /<Code>([^<]*)<\/Code>/.exec(text);
      code = found && found[1];
      found = /<Message>([^<]*)<\/Message>/.exec(text);
      message = found && found[1].replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&amp;/g, '&');
    }
    var status = xhr.status;
    var retryable = status === 0 || status === 408 || status === 429 || status >= 500;
    var e = failure(code || (status ? 'http_' + status : 'network'), message || plainly[code] || (status ? what + ' was answered ' + status : what + ' could not be reached'), status, retryable);
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

  // Later, and a little longer each time; or not at all when the tries are used up.
  Upload.prototype.again = function (error, step) {
    var most = this.options.retries === undefined ? 3 : this.options.retries;
    if (!error.retryable || this.attempt >= most) return this.finish(error);
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
      if (!form) return this.again(failureOf(xhr, 'Signing'), this.sign);
      this.form = form;
      this.call('onSigned', form);
      this.send(this.firstDoor());
    });
    if (o.withCredentials) r.xhr.withCredentials = true;
    r.send();
  };

  Upload.prototype.name = function () {
    if (this.file) return this.file.name || 'file';
    return (this.input.value || 'file').replace(/^.*[\/\\]/, '');
  };

  // --- doors ----------------------------------------------------------------------------------------

  Upload.prototype.firstDoor = function () {
    var form = this.form, wish = this.options.door || 'auto';
    if (form.url === form.fallback_url) return { name: 'fallback', reason: 'there is no other door' };
    if (wish === 'fallback') return { name: 'fallback', reason: 'asked for' };
    var shut = directShut[form.url];
    if (wish === 'auto' && shut && new Date().getTime() - shut.at < DIRECT_REST) return { name: 'fallback', reason: shut.why + ', as was seen a moment ago' };
    return { name: 'direct', reason: wish === 'direct' ? 'asked for' : 'tried first' };
  };

  // The direct door did not work for this file (shut: nor will it for others), and there may be another. Answers whether that one is tried.
  Upload.prototype.otherDoor = function (why, shut) {
    if (this.door !== 'direct') return false;
    if (shut) directShut[this.form.url] = { at: new Date().getTime(), why: why };
    if ((this.options.door || 'auto') !== 'auto') return false;
    this.send({ name: 'fallback', reason: why });
    return true;
  };

  Upload.prototype.send = function (door) {
    this.door = door.name;
    this.call('onDoor', door.name, door.reason);
    var url = door.name === 'direct' ? this.form.url : this.form.fallback_url;
    var able = root.FormData && this.file && 'upload' in new XMLHttpRequest();
    var how = this.options.transport || 'auto';
    if (how === 'iframe' || (how === 'auto' && !able)) this.sendByFrame(url);
    else this.sendByRequest(url);
  };

  Upload.prototype.sendByRequest = function (url) {
    var self = this, data = new FormData(), fields = this.form.fields;
    for (var name in fields) if (Object.prototype.hasOwnProperty.call(fields, name)) data.append(name, fields[name]);
    // The key says what the object is called; the file's own name is sent only where it is asked for, for not every store reads ; and = and " in it rightly.
    data.append('file', this.file, /\$\{filename\}/.test(fields.key) ? this.name() : 'file');
    var r = this.request('POST', url, { Accept: 'application/json' }, data, this.answered);
    this.begun = false; // has anything been sent?
    r.xhr.upload.onprogress = function (e) {
      self.begun = true;
      if (!self.over && e.lengthComputable) self.call('onProgress', { loaded: Math.min(e.loaded, self.file.size), total: self.file.size, door: self.door });
    };
    r.send();
    // A network that swallows what goes to the store would keep a browser waiting for minutes.
    if (this.door === 'direct' && (this.options.door || 'auto') === 'auto') this.later(this.options.patience || 15000, function () {
      if (!this.begun && this.xhr === r.xhr) r.xhr.abort(); // which ends in silence()
    });
  };

  Upload.prototype.answered = function (xhr) {
    if (xhr.status === 202) return this.watch(0);
    if (xhr.status >= 200 && xhr.status < 300) {
      var upload = parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      return this.complete(); // a form that asked for a status leaves the completion to us
    }
    if (xhr.status === 0) return this.silence();
    var error = failureOf(xhr, 'The upload');
    if (/expired/i.test(error.message) && !this.signedAgain) {
      this.signedAgain = true; // a form can run out while the file waits for its turn
      return this.sign();
    }
    this.again(error, function () { this.send({ name: this.door, reason: 'again' }); });
  };

  Upload.prototype.complete = function () {
    this.request('GET', this.form.complete_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload) return this.finish(null, upload);
      if (xhr.status === 202) return this.watch(0);
      this.again(failureOf(xhr, 'The completion'), this.complete);
    }).send();
  };

  // No answer that a script may read: the network, a missing CORS rule, or an upload that worked but whose answer got lost. Asking is cheaper than sending
  // twice; and it is the store that must be asked, since nobody else knows of a file that went straight there.
  Upload.prototype.silence = function () {
    this.request('GET', this.form.complete_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      var lost = failure('network', 'The connection broke off.', 0, true);
      if (xhr.status === 0 || xhr.status === 202 || xhr.status === 429 || xhr.status >= 500) return this.again(lost, this.silence); // nobody could say
      this.whySilent(function (why) {
        if (!this.otherDoor(why, true)) this.again(lost, function () { this.send({ name: this.door, reason: 'again' }); });
      });
    }).send();
  };

  // Scripts are not told why a request failed. But one that wants no answer needs no CORS rule: if it gets through, then the rule is what is missing.
  Upload.prototype.whySilent = function (done) {
    var self = this, told = false;
    function tell(why) {
      if (!told && !self.over) done.call(self, why);
      told = true;
    }
    if (this.door !== 'direct') return tell('');
    if (this.begun) return tell('the store\u2019s answer did not get through');
    if (!root.fetch) return tell('the store cannot be reached from this page');
    root.fetch(this.form.url, { mode: 'no-cors', credentials: 'omit', cache: 'no-store' }).then(function () {
      tell('the store has no CORS rule for this page');
    }, function () {
      tell('the store cannot be reached from here');
    });
    this.later(3000, function () { tell('the store cannot be reached from here'); });
  };

  // Asks how the upload stands until it is settled.
  Upload.prototype.watch = function (asked) {
    this.request('GET', this.form.status_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      if (upload && (upload.state === 'failed' || upload.state === 'expired')) return this.finish(failure(upload.code || upload.state, 'The upload ' + upload.state + '.', 0, false));
      this.later(Math.min(15000, 500 * Math.pow(1.5, asked)), function () { this.watch(asked + 1); });
    }).send();
  };

  // --- a real form in a hidden frame, for browsers without FormData -----------------------------------

  Upload.prototype.sendByFrame = function (url) {
    if (!this.input) return this.finish(failure('unsupported', 'This browser can only send a file that stands in an <input type="file">.'));
    if (this.cleanUp) this.cleanUp(); // of the door that was tried before
    var self = this, name = 'postern-' + String(Math.random()).slice(2), box = document.createElement('div');
    box.style.display = 'none';
    box.innerHTML = '<iframe name="' + name + '" title="upload"></iframe>'; // innerHTML, because old IE ignores a name that is set later
    var form = document.createElement('form');
    form.action = url;
    form.method = 'POST';
    form.enctype = form.encoding = 'multipart/form-data';
    form.target = name;
    for (var field in this.form.fields) {
      if (!Object.prototype.hasOwnProperty.call(this.form.fields, field)) continue;
      var hidden = document.createElement('input');
      hidden.type = 'hidden';
      hidden.name = field;
      hidden.value = this.form.fields[field];
      form.appendChild(hidden);
    }
    // The input itself must go, for no script can copy what was chosen in it; a stand-in keeps its place.
    var input = this.input, place = input.cloneNode(false), named = input.name;
    input.parentNode.insertBefore(place, input);
    input.name = 'file';
    form.appendChild(input);
    box.appendChild(form);
    document.body.appendChild(box);
    var frame = box.firstChild;

    function told(e) {
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
      if (box.parentNode) box.parentNode.removeChild(box); // this ends a request that still runs
    };
    if (root.addEventListener) root.addEventListener('message', told, false);
    this.later(this.options.timeout || 3600000, function () { this.finish(failure('timed_out', 'The upload took too long.', 0, false)); });
    // Some page has come: our own tells of itself, the application's (where the form returned) and an error's do not.
    frame.onload = function () {
      try {
        if (frame.contentWindow.location.href === 'about:blank') return; // some browsers tell of the empty frame, too
      } catch (e) {} // another origin's
      self.later(500, function () { this.askForFrame(frame); });
    };
    form.submit();
    if (this.watching) return; // one watch is enough for both doors
    this.watching = true;
    this.later(1000, function () { this.watch(0); });
  };

  Upload.prototype.askForFrame = function (frame) {
    this.request('GET', this.form.complete_url, { Accept: 'application/json' }, null, function (xhr) {
      var upload = xhr.status === 200 && parse(xhr.responseText);
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      if (xhr.status === 0 || xhr.status === 202 || xhr.status === 429 || xhr.status >= 500) return; // the watch goes on
      if (!this.otherDoor('the store did not take the form', false)) this.finish(refusalIn(frame));
    }).send();
  };

  // What an error's page in the frame says: S3's is another origin's and nobody can read it, the fallback's can be read from pages of Postern's own origin.
  function refusalIn(frame) {
    var code = '', message = '';
    try {
      var page = frame.contentWindow.document;
      code = page.getElementsByTagName('Code')[0].textContent;
      message = page.getElementsByTagName('Message')[0].textContent;
    } catch (e) {} // another origin's, or no such page
    return failure(code || 'refused', message || plainly[code] || 'The upload was refused. Why cannot be read from a frame.', 0, false);
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
      handle.promise['catch'](nothing); // who listens to onError only must not be told of an unhandled rejection
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
