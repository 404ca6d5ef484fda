// "Copy" beside a secret. The clipboard API is missing on plain http (other than localhost); then the field is
// selected and the older command tried, and at worst the text stands selected for Ctrl-C.
"use strict";
document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-tikhub-copy]");
    if (!button) {
        return;
    }
    const field = document.getElementById(button.dataset.tikhubCopy);
    field.select();
    let copied = false;
    try {
        await navigator.clipboard.writeText(field.value);
        copied = true;
    } catch {
        copied = document.execCommand("copy");
    }
    button.parentElement.querySelector(".tikhub-copied").textContent = copied ? "Copied." : "Press Ctrl+C.";
});
