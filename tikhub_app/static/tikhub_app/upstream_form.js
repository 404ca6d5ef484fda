// Fills in the chosen provider's usual base URL, unless somebody has typed another one.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
    const provider = document.getElementById("id_provider");
    const baseUrl = document.getElementById("id_base_url");
    if (!provider || !baseUrl) {
        return;
    }
    const usual = () => Array.from(provider.options, (option) => option.dataset.baseUrl || "");
    provider.addEventListener("change", () => {
        const chosen = provider.selectedOptions[0].dataset.baseUrl || "";
        if (!baseUrl.value.trim() || usual().includes(baseUrl.value.trim())) {
            baseUrl.value = chosen;
        }
    });
});
