"use strict";
const find = document.getElementById("find");
const cards = [...document.querySelectorAll(".card")];
find?.addEventListener("input", () => {
  const wanted = find.value.toLowerCase();
  for (const card of cards) card.hidden = !card.querySelector("h3 a").textContent.toLowerCase().includes(wanted);
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === find) { if (event.key === "Escape") { find.value = ""; find.dispatchEvent(new Event("input")); find.blur(); } return; }
  if (event.key === "/") { event.preventDefault(); find?.focus(); return; }
  if (event.key !== "j" && event.key !== "k") return;
  const stops = [...document.querySelectorAll("header, section > h2, .card:not([hidden])")];
  const tops = stops.map((stop) => stop.getBoundingClientRect().top);
  const next = event.key === "j" ? tops.findIndex((top) => top > 24) : tops.findLastIndex((top) => top < -1);
  if (next >= 0) { stops[next].scrollIntoView({ block: "start", behavior: "instant" }); stops[next].focus?.({ preventScroll: true }); }
});
