  // A form in a hidden iframe, for browsers without FormData.

  // An <input> that holds this one file. The page's own input can serve if it holds nothing else. Null when there is none.
  Upload.prototype.inputOfOne = function () {
    var made = document.createElement('input');
    made.type = 'file';
    if (this.file && root.DataTransfer && root.File && this.file instanceof root.File) try {
      var list = new root.DataTransfer();
      list.items.add(this.file);
      made.files = list.files;
      if (made.files.length === 1) return made;
    } catch (e) {} // an older browser: a script cannot fill an input
    var given = this.input;
    return given && (!given.files || (given.files.length === 1 && given.files[0] === this.file)) ? given : null;
  };

  Upload.prototype.sendByFrame = function (url) {
    var input = this.inputOfOne();
    if (!input) return this.finish(failure('unsupported', 'This browser can upload a file only from an <input type="file"> with this file alone.'));
    var self = this, box = this.makeFrame(url, input), frame = box.firstChild, form = box.lastChild;
    var putBack = this.placeInput(input, form);
    document.body.appendChild(box);

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
      putBack();
      if (box.parentNode) box.parentNode.removeChild(box); // ends a request in flight
      self.isFraming = false;
    };
    if (root.addEventListener) root.addEventListener('message', told, false);
    this.later(this.options.timeout || 3600000, function () { this.finish(failure('timed_out', 'The upload took too long.', 0, false)); });
    // A page has loaded. Postern's own page posts a message; the application's page (returnTo) and an error page do not.
    frame.onload = function () {
      try {
        if (frame.contentWindow.location.href === 'about:blank') return; // some browsers report the empty frame too
      } catch (e) {} // the page is of another origin
      self.isFraming = false;
      self.later(500, function () { this.askForFrame(frame); });
    };
    this.isFraming = true;
    form.submit();
    this.later(1000, function () { this.watchState(0); });
    if (this.way === 'direct') this.later(this.options.patience || 15000, function () { this.probeForFrame(0); });
  };

  // A hidden box with the iframe and the form that is sent into it.
  Upload.prototype.makeFrame = function (url) {
    var name = 'postern-' + String(Math.random()).slice(2), box = document.createElement('div'), form = document.createElement('form');
    box.style.display = 'none';
    box.innerHTML = '<iframe name="' + name + '" title="upload"></iframe>'; // innerHTML, because old Internet Explorer ignores a name that is set later
    form.action = url;
    form.method = 'POST';
    form.enctype = form.encoding = 'multipart/form-data';
    form.acceptCharset = 'UTF-8'; // the page may have another encoding
    form.target = name;
    function addField(field, value) {
      var hidden = document.createElement('input');
      hidden.type = 'hidden';
      hidden.name = field;
      hidden.value = value;
      form.appendChild(hidden);
    }
    each(this.form.fields, addField);
    addField(PROMISE.name, PROMISE.value);
    box.appendChild(form);
    return box;
  };

  // Puts the input into the form. The page's own input moves, because old browsers cannot copy a chosen file; a clone keeps its place in the page.
  // Returns a function that puts it back.
  Upload.prototype.placeInput = function (input, form) {
    var named = input.name, place = input.parentNode && input.cloneNode(false);
    if (place) input.parentNode.insertBefore(place, input);
    input.name = 'file';
    form.appendChild(input);
    return function () {
      input.name = named;
      if (place && place.parentNode) place.parentNode.replaceChild(input, place);
    };
  };

  // A frame has loaded something. Is the upload complete?
  Upload.prototype.askForFrame = function (frame) {
    this.request({ method: 'GET', url: this.form.complete_url, headers: { Accept: 'application/json' } }, function (xhr) {
      var upload = xhr.status === 200 && parse(textOf(xhr));
      if (upload && upload.state === 'completed') return this.finish(null, upload);
      if (upload && upload.state === 'checking') return; // watchState() goes on
      if (xhr.status === 0 || xhr.status === 202 || xhr.status === 429 || xhr.status >= 500) return; // here too
      if (!this.tryNext('the store did not take the form', 0)) this.finish(refusalIn(frame));
    });
  };

  // Firefox and WebKit load nothing into the frame when the store cannot be reached, and report nothing. A probe decides.
  // Two probes that fail, and no completion: the other way.
  Upload.prototype.probeForFrame = function (failed) {
    if (!this.isFraming) return;
    var patience = this.options.patience || 15000, isTold = false, tell = this.during(function (isAlive) {
      if (isTold || !this.isFraming) return;
      isTold = true;
      if (isAlive || line.isOff()) return this.later(patience, function () { this.probeForFrame(0); });
      if (!failed) return this.later(1000, function () { this.probeForFrame(1); });
      this.askWhetherComplete(function () { this.probeForFrame(1); }, function () {
        if (!this.tryNext('the store cannot be reached from here', DEAD_FOR)) this.finish(failure('network', 'The store cannot be reached.', 0, true));
      });
    });
    this.later(patience, function () { tell(false); });
    probe(this.form.url, tell);
  };

  // Calls done(whether the address answers anything at all). It may never call.
  function probe(url, done) {
    if (root.fetch) return root.fetch(url, { mode: 'no-cors', credentials: 'omit', cache: 'no-store' }).then(function () { done(true); }, function () { done(false); });
    var frame = document.createElement('iframe');
    frame.style.display = 'none';
    frame.onload = function () { done(true); };
    frame.src = url;
    document.body.appendChild(frame);
    setTimeout(function () { frame.parentNode.removeChild(frame); }, 10000);
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
