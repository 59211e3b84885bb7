  // Multipart and resumable uploads are kept in IndexedDB, so that after a reload or a crash the same file goes on where the store has it.

  var FINGERPRINT = 64 * 1024;              // bytes of the file's start that identify it
  var SMALLEST_SAVED = 5 * 1024 * 1024;     // a smaller file has one part, and nothing to go on with
  var KEPT_FOR = 7 * 24 * 60 * 60 * 1000;   // Postern deletes the parts by then
  var opened = null;                        // functions that wait for the database, or the database, or false where there is none

  // done(database or null). A database that does not open in time is left out: the upload works without it.
  function openSaved(done) {
    if (opened === false || !root.indexedDB) return done(null);
    if (opened && !opened.push) return done(opened);
    if (opened) return opened.push(done);
    var waiting = opened = [done];
    function tell(database) {
      if (opened !== waiting) return;
      opened = database || false;
      for (var i = 0; i < waiting.length; i++) waiting[i](database);
    }
    setTimeout(function () { tell(null); }, 3000);
    try {
      var request = root.indexedDB.open('postern', 1);
      request.onupgradeneeded = function () { request.result.createObjectStore('uploads', { keyPath: 'key' }); };
      request.onerror = request.onblocked = function () { tell(null); };
      request.onsuccess = function () {
        removeOld(request.result);
        tell(request.result);
      };
    } catch (e) { // a private window, or a page without an origin
      tell(null);
    }
  }

  // Runs f(object store) and calls done(its result or null).
  function withSaved(f, done) {
    openSaved(function (database) {
      if (!database) return done(null);
      try {
        var change = database.transaction('uploads', 'readwrite'), request = f(change.objectStore('uploads'));
        change.oncomplete = function () { done(request.result || null); };
        change.onerror = change.onabort = function () { done(null); };
      } catch (e) {
        done(null);
      }
    });
  }

  function removeOld(database) {
    try {
      var all = database.transaction('uploads', 'readwrite').objectStore('uploads');
      all.openCursor().onsuccess = function (e) {
        var cursor = e.target.result;
        if (!cursor) return;
        if (now() - cursor.value.at > KEPT_FOR) cursor['delete']();
        cursor['continue']();
      };
    } catch (e) {} // then they stay
  }

  // The key of a file: what identifies it and what the application said about it. options.resume names the user, so that nobody goes on with another's upload.
  Upload.prototype.keyOf = function (start) {
    var o = this.options, f = this.file;
    return JSON.stringify([this.endpoint(), o.profile || '', o.metadata || null, o.returnTo || '', o.resume === true || o.resume === undefined ? '' : o.resume, f.name, f.size, f.lastModified || 0, crcToBase64(makeCrc32c()(start, 0))]);
  };

  // Looks for an earlier upload of the same file. done(saved or null)
  Upload.prototype.findSaved = function (done) {
    var self = this, file = this.file;
    var isPossible = file && file.name && file.slice && file.size > SMALLEST_SAVED && this.options.resume !== false && this.transport() === 'xhr' && root.FileReader && root.indexedDB;
    if (!isPossible || !/multipart|resumable/.test(this.possibleWays().join())) return done(null);
    readStart(file, FINGERPRINT, this.during(function (start) {
      if (!start) return done(null);
      var key = self.keyOf(start);
      self.lock(key, self.during(function (isOurs) {
        if (!isOurs) return done(null); // another tab sends this file
        self.key = key;
        withSaved(function (all) { return all.get(key); }, done);
      }));
    }));
  };

  // One tab at a time goes on with a file. A browser without locks takes the risk of sending parts twice.
  // A page that was reloaded can hold its lock a moment longer, so there are two looks.
  Upload.prototype.lock = function (key, done, isSecondLook) {
    var self = this, locks = root.navigator && root.navigator.locks;
    if (!locks || !root.Promise || this.unlockNow) return done(true);
    locks.request('postern ' + key, { ifAvailable: true }, function (lock) {
      if (lock && !self.over) {
        var held = new root.Promise(function (release) { self.unlockNow = release; });
        done(true);
        return held;
      }
      if (isSecondLook) done(false);
      else setTimeout(function () { self.lock(key, done, true); }, 1000);
    })['catch'](function () { done(true); }); // locks are not allowed here
  };

  Upload.prototype.unlock = function () {
    if (this.unlockNow) this.unlockNow();
    this.unlockNow = null;
  };

  // Goes on with a saved upload.
  Upload.prototype.goOn = function (saved) {
    this.form = saved.form;
    this.signedAt = saved.at;
    this.rest = this.waysOf(saved.form);
    var way = saved.way || 'multipart'; // a record of an older version has none
    while (this.rest.length && this.rest[0].way !== way) this.rest.shift();
    if (!this.rest.length) {
      this.form = null;
      return this.prepare();
    }
    if (way === 'resumable') this.offset = 0; // Postern tells the right one
    else {
      this.parts = new Parts(this.rest[0], this.file);
      this.parts.authorization = saved.authorization;
    }
    var next = this.during(function () { this.send(this.rest.shift(), 'goes on with what the store has'); });
    this.call('onSigned', saved.form);
    next();
  };

  Upload.prototype.save = function () {
    if (!this.key) return;
    var record = { key: this.key, at: now(), form: this.form, way: this.entry.way, authorization: this.parts && this.parts.authorization };
    withSaved(function (all) { return all.put(record); }, nothing);
  };

  Upload.prototype.forget = function () {
    var key = this.key;
    if (key) withSaved(function (all) { return all['delete'](key); }, nothing);
  };
