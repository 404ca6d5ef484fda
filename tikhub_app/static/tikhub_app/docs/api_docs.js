// Starts Swagger UI. A file of its own, so that the page needs no inline script.
const place = document.getElementById("swagger-ui");

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // Otherwise the page asks an online validator for a badge.
  validatorUrl: null,
  requestInterceptor: (request) => {
    const isOurs = new URL(request.url, location.href).origin === location.origin;
    if (isOurs && place.dataset.csrfToken) {
      request.headers["X-CSRFToken"] = place.dataset.csrfToken;
    }
    return request;
  },
});
