/* Shows what came meanwhile. */
const seen = document.querySelector("[data-seen]").dataset.seen;

setInterval(async () => {
  const answer = await fetch("/seen").catch(() => null);
  if (answer?.ok && (await answer.text()) !== seen) location.reload();
}, 2000);
