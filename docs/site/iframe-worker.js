// A page that is opened from disk may start no worker: its script runs in a hidden frame then. Search needs it.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inner = frame.contentWindow;
      const inside = this.inner.document;
      inside.open();
      inside.write("<script>postMessage = parent.postMessage.bind(parent)</script>");
      const script = inside.createElement("script");
      script.src = url;
      this.ready = new Promise((loaded) => (script.onload = loaded));
      inside.head.append(script);
      inside.close();
      addEventListener("message", (event) => {
        if (event.source !== this.inner) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        this.onmessage?.(message);
      });
    }
    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {}
  };
