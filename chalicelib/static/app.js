// Enhancement only: every page works without this file.

const localTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Shows times in the reader's own zone; the UTC text becomes the tooltip. Those of the audit log stay in UTC. */
function localizeTimes() {
  for (const time of document.querySelectorAll("time:not([data-exact], [data-hour])")) {
    time.title = time.textContent;
    time.textContent = localTime.format(new Date(time.dateTime));
  }
}

/** Says how many days ago something was that is known to the hour only; the hour becomes the tooltip. */
function countDays() {
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const midnight = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  for (const time of document.querySelectorAll("time[data-hour]")) {
    const begin = new Date(time.dateTime);
    time.title = `${localTime.format(begin)}, or up to an hour later`;
    time.textContent = words.format(-Math.round((midnight(new Date()) - midnight(begin)) / 86400000), "day");
  }
}

/** Keeps a form from being sent twice by an impatient second click. */
function sendOnce() {
  const sent = new Set();
  document.addEventListener("submit", (event) => {
    // A download leaves the page as it is, so the form stays usable
    if (event.submitter?.hasAttribute("data-download")) return;
    if (sent.has(event.target)) event.preventDefault();
    sent.add(event.target);
    event.submitter?.setAttribute("aria-busy", "true");
  });
  // A page that comes back from the browser's cache is usable again
  window.addEventListener("pageshow", () => {
    sent.clear();
    for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });
}

/** Makes the dialog modal: the browser then keeps the focus in it. Escape presses its cancel or close button. */
function upgradeDialog() {
  const dialog = document.querySelector("dialog");
  if (!dialog) return;
  dialog.removeAttribute("open");
  dialog.showModal();
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    dialog.querySelector("form[data-cancel]").requestSubmit();
  });
}

/** Selecting all rows of a table, and how many are selected. */
function countSelection(form) {
  const boxes = [...form.elements].filter((element) => element.name === "token");
  const all = form.querySelector(".select-all input");
  const button = form.querySelector("button");
  const status = form.querySelector("[role=status]");

  const update = () => {
    const count = boxes.filter((box) => box.checked).length;
    status.textContent = count ? `${count} selected` : "";
    button.disabled = count === 0;
    all.checked = count === boxes.length && count > 0;
    all.indeterminate = count > 0 && !all.checked;
  };
  for (const box of boxes) box.addEventListener("change", update);
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    update();
  });
  // After "back" the browser ticks again what was ticked
  window.addEventListener("pageshow", update);
  form.querySelector(".select-all").hidden = false;
  update();
}

/** Offers to copy what a button names, and says that it was done. */
function offerCopy(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

/** Reads a chosen file into the field it names; the file itself is never sent. */
function readFile(input) {
  input.closest("label").hidden = false;
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (file) document.getElementById(input.dataset.into).value = await file.text();
  });
}

localizeTimes();
countDays();
sendOnce();
upgradeDialog();
document.querySelectorAll("form[data-selection]").forEach(countSelection);
document.querySelectorAll("[data-copy]").forEach(offerCopy);
document.querySelectorAll("[data-into]").forEach(readFile);
