  // The resumable way (tus 1.0), for networks in which only Postern can be reached. One PATCH sends all that is left; after a break, the next one goes on
  // where Postern has the file.

  var TUS = '1.0.0';

  // Begins, or goes on with what Postern has.
  Upload.prototype.sendResumable = function () {
    if (this.offset !== undefined) return this.askOffset();
    this.offset = this.attempt = 0;
    this.save();
    this.sendRest();
  };

  Upload.prototype.sendRest = function () {
    var from = this.offset, total = this.file.size;
    this.request({
      method: 'PATCH', url: this.entry.url, body: this.file.slice(from),
      // The length is for a back end that did not pass the file's size on when it signed.
      headers: { 'Tus-Resumable': TUS, 'Upload-Offset': from, 'Upload-Length': total, 'Content-Type': 'application/offset+octet-stream' },
      onSent: this.during(function (bytes) { this.report(Math.min(from + bytes, total), total, 'resumable'); })
    }, function (xhr) {
      if (this.takeOffset(xhr)) return this.complete();
      if (!xhr.status) return this.checkFile(function () { this.askOffset(true); });
      // 409: Postern has more than this page knows, or another request goes on with the file. A server that is busy is not asked for the offset, because
      // its answer would look as if it were no longer busy.
      if (xhr.status === 409) return this.retry(failure('conflict', 'Another request sends this file.', 409, true), this.askOffset);
      this.resumableRefused(xhr, xhr.status === 429 || xhr.status === 503 ? this.sendRest : this.askOffset);
    });
  };

  // Asks how far the file is, and sends the rest. isBreak: a request got no answer, though Postern can be reached. That uses up a try, unless bytes arrived.
  Upload.prototype.askOffset = function (isBreak) {
    this.request({ method: 'HEAD', url: this.entry.url, headers: { 'Tus-Resumable': TUS } }, function (xhr) {
      if (!this.takeOffset(xhr)) return this.resumableRefused(xhr, this.askOffset);
      if (isBreak) this.bytesLost(this.sendRest);
      else this.sendRest();
    });
  };

  // Postern can be reached, but a request for the file got no answer. A firewall may let no PATCH or HEAD through: then the form is worth a try, as long as
  // Postern has nothing of the file.
  Upload.prototype.bytesLost = function (step) {
    if (this.offset || !this.attempt || !this.tryNext('no byte of the file reached Postern', 0)) this.retry(connectionLost(), step);
  };

  // Takes the offset from a response. Returns false when there is none.
  Upload.prototype.takeOffset = function (xhr) {
    var found = xhr.status >= 200 && xhr.status < 300 && xhr.getResponseHeader('Upload-Offset');
    if (!found) return false;
    if (Number(found) > this.offset) this.attempt = 0;
    this.offset = Number(found);
    this.report(this.offset, this.file.size, 'resumable');
    return true;
  };

  Upload.prototype.resumableRefused = function (xhr, step) {
    if (/^(400|413|415|460)$/.test(xhr.status)) return this.finish(failureOf(xhr, 'The upload')); // the form would be refused too
    if (xhr.status || this.offset) return this.refused(xhr, 'The upload', step);
    this.askWhetherComplete(step, function () { this.bytesLost(step); }); // waits if Postern gives no answer to this either
  };
